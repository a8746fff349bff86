"""What a subject names: the inverse of `subjects.py`, which builds them (design.md section 3)."""

from collections.abc import Container
from typing import Final

from msgspec import Struct

from workspaced.bus import tokens
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import UndecodableMessage


class CommandSubject(Struct, frozen=True):
    """`ws.cmd.<chat_id>.<verb>`."""

    chat_id: str
    verb: str


class BuildCreatedSubject(Struct, frozen=True):
    """`ws.event.<workspace_id>.build.created`."""

    workspace_id: str


class JobEventSubject(Struct, frozen=True):
    """`ws.event.<workspace_id>.job.<status>`, or with the tag of who says it, `….<status>.<provisioner>`."""

    workspace_id: str
    status: str
    provisioner: str | None = None


class AgentEventSubject(Struct, frozen=True):
    """`ws.event.<workspace_id>.agent.<agent_id>.<kind>`."""

    workspace_id: str
    agent_id: str
    agent_event: str


class AdvisorySubject(Struct, frozen=True):
    """`ws.sys.connect` or `ws.sys.disconnect`."""

    advisory: str


class DueSubject(Struct, frozen=True):
    """`ws.due.<kind>.<slot>`."""

    timer: str
    slot: str


class JobSubject(Struct, frozen=True):
    """`ws.job.<provisioner>.<job_id>`."""

    provisioner: str
    job_id: str


class CancelSubject(Struct, frozen=True):
    """`ws.cancel.<job_id>`."""

    job_id: str


class ResyncSubject(Struct, frozen=True):
    """`ws.resync` or `ws.resync.<workspace_id>`."""

    workspace_id: str | None = None


class LogSubject(Struct, frozen=True):
    """`ws.log.<workspace_id>.<build_id>`."""

    workspace_id: str
    build_id: str


class ChatSubject(Struct, frozen=True):
    """`ws.chat.<chat_id>.<state>`."""

    chat_id: str
    state: str


class PingSubject(Struct, frozen=True):
    """`ws.agent.<agent_id>.ping`."""

    agent_id: str


class DeadSubject(Struct, frozen=True):
    """`ws.dead.<original subject>`."""

    subject: str


Subject = (
    CommandSubject
    | BuildCreatedSubject
    | JobEventSubject
    | AgentEventSubject
    | AdvisorySubject
    | DueSubject
    | JobSubject
    | CancelSubject
    | ResyncSubject
    | LogSubject
    | ChatSubject
    | PingSubject
    | DeadSubject
)


def parse(subject: str) -> Subject:
    """What `subject` names. Raises UndecodableMessage, `bad_subject` or `unknown_kind`."""
    parts = subject.split(".")
    if parts[:2] == ["ws", "dead"] and parts[2:]:
        return DeadSubject(".".join(parts[2:]))
    for form in _BY_SHAPE.get((len(parts), *parts[:2]), ()):
        if [parts[place] for place in form.fixed] == form.words:
            return form.kind(*[_checked(name, parts[place], subject) for name, place in form.fields])
    raise UndecodableMessage("unknown_kind", f"nobody knows {subject[:200]}")


def _checked(field: str, token: str, subject: str) -> str:
    if field not in _WORDS:
        if (tokens.is_tag if field == "provisioner" else tokens.is_uuid)(token):
            return token
        raise UndecodableMessage("bad_subject", f"{token[:100]!r} is no {field}, in {subject[:200]}")
    if token not in _WORDS[field]:
        raise UndecodableMessage("unknown_kind", f"nobody knows {subject[:200]}")
    return token


_WORDS: Final[dict[str, Container[str]]] = {
    "verb": frozenset(COMMANDS),
    "status": tokens.JOB_STATUSES,
    "state": tokens.STATES,
    "agent_event": tokens.AGENT_KINDS,
    "advisory": frozenset({"connect", "disconnect"}),
    "timer": tokens.TIMER_KINDS,
}
"""Fields that are one of some words; the others are ids."""


FORMS: Final[dict[str, type[Subject]]] = {
    "ws.cmd.*.*": CommandSubject,
    "ws.event.*.job.*": JobEventSubject,
    "ws.event.*.job.*.*": JobEventSubject,
    "ws.event.*.agent.*.*": AgentEventSubject,
    "ws.event.*.build.created": BuildCreatedSubject,
    "ws.due.*.*": DueSubject,
    "ws.sys.*": AdvisorySubject,
    "ws.job.*.*": JobSubject,
    "ws.cancel.*": CancelSubject,
    "ws.resync.*": ResyncSubject,
    "ws.resync": ResyncSubject,
    "ws.log.*.*": LogSubject,
    "ws.chat.*.*": ChatSubject,
    "ws.agent.*.ping": PingSubject,
}
"""All subjects that `parse` knows besides `ws.dead.>`; a `*` stands for the struct's next field."""


class _Form(Struct, frozen=True):
    """A row of `FORMS`, taken apart."""

    kind: type[Subject]
    fixed: list[int]
    """Where `words` stand."""
    words: list[str]
    fields: list[tuple[str, int]]
    """The struct's fields, and where each stands."""


def _form(text: str, kind: type[Subject]) -> _Form:
    parts = text.split(".")
    fixed = [place for place, part in enumerate(parts) if part != "*"]
    stars = [place for place, part in enumerate(parts) if part == "*"]
    fields = list(zip(kind.__struct_fields__, stars, strict=False))  # a field with a default may have no place
    return _Form(kind, fixed, [parts[place] for place in fixed], fields)


def _by_shape() -> dict[tuple[int | str, ...], list[_Form]]:
    """The forms by their length and first two parts."""
    forms: dict[tuple[int | str, ...], list[_Form]] = {}
    for text, kind in FORMS.items():
        parts = text.split(".")
        forms.setdefault((len(parts), *parts[:2]), []).append(_form(text, kind))
    return forms


_BY_SHAPE: Final = _by_shape()
