"""Every subject of the wire, built and parsed; nothing else in the project spells one (design.md section 3).

Builders check each id before it becomes a token and raise `BadRequest` with the id's field. `parse` is their inverse:
it raises `UndecodableMessage`, `bad_subject` when a token is no id where one belongs, `unknown_kind` when the words are
none of ours.
"""

import re
from collections.abc import Callable, Container
from itertools import repeat
from typing import Any, Final, get_args

from msgspec import Struct

from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import BadRequest, UndecodableMessage
from workspaced.fsm.state import State
from workspaced.fsm.values import UUID_PATTERN, JobStatus

EVENTS: Final = "EVENTS"
TIMERS: Final = "TIMERS"
JOBS: Final = "JOBS"
LOGS: Final = "LOGS"
CHATS: Final = "CHATS"
DEAD: Final = "DEAD"
ENGINE: Final = "engine"
"""The durable consumer of EVENTS and of TIMERS, shared by all engines."""

STREAM_SUBJECTS: Final = {
    EVENTS: ("ws.cmd.>", "ws.event.>", "ws.sys.*"),
    TIMERS: ("ws.timer.>", "ws.due.>"),
    JOBS: ("ws.job.>",),
    LOGS: ("ws.log.>",),
    CHATS: ("ws.chat.>",),
    DEAD: ("ws.dead.>",),
}
"""No subject is of two of them."""
ALL_DUE: Final = "ws.due.>"
ALL_RESYNC: Final = "ws.resync.*"
ALL_CANCELS: Final = "ws.cancel.*"
AGENTS_CONNECTED: Final = "ws.agents"
"""The NATS servers tell the connections of agents."""
ALL_REVOKED: Final = "ws.revoke.*"
API_PREFIX: Final = "ws.api"
TENANT_API_PREFIX: Final = "ws.org.*.api"

JOB_STATUSES: Final[frozenset[str]] = frozenset(get_args(JobStatus))
AGENT_KINDS: Final = frozenset({"connected", "disconnected", "lifecycle"})
CONNECT_ADVISORY: Final = "ws.sys.connect"
"""The NATS server tells each new connection of the account."""
TIMER_KINDS: Final = frozenset({"chat", "ttl", "job", "link", "queue"})
STATES: Final = frozenset(State)
API_VERBS: Final = (
    *COMMANDS,
    "get",
    "list",
    "history",
    "logs",
    "dead",
    "templates.put",
    "templates.get",
    "templates.list",
    "templates.delete",
    "settings.get",
    "settings.put",
)

_UUID = re.compile(UUID_PATTERN, re.ASCII)
_TAG = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_ODD_TOKEN = re.compile(r"[\s*>\x00]|^$")


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in canonical lower case."""
    return _UUID.fullmatch(text) is not None


def stream_of(subject: str) -> str | None:
    """The stream that keeps messages of `subject`; None when none does."""
    kept = ((stream, each.rstrip(">*")) for stream, of in STREAM_SUBJECTS.items() for each in of)
    return next((stream for stream, beginning in kept if subject.startswith(beginning)), None)


def is_tag(text: str) -> bool:
    """Whether `text` may name a provisioner."""
    return _TAG.fullmatch(text) is not None


# --- building ---------------------------------------------------------------------------------------------------------


def api(verb: str, tenant: str | None = None) -> str:
    """`ws.api.<verb>`, where a request goes; `ws.org.<tenant>.api.<verb>` of who is limited to that organization."""
    return f"{_prefix('api', tenant)}.{_word(verb, API_VERBS, 'verb')}"


def tenant_of(subject: str) -> str:
    """The organization that stands in `ws.org.<organization_id>.api.<verb>`. Raises BadRequest when that is no id."""
    return _id(subject.split(".")[2], "tenant")


def command(chat_id: str, verb: str) -> str:
    """`ws.cmd.<chat_id>.<verb>`, where a command is kept until it is decided."""
    return f"ws.cmd.{_id(chat_id, 'chat_id')}.{_word(verb, COMMANDS, 'verb')}"


def build_created(workspace_id: str) -> str:
    """`ws.event.<workspace_id>.build.created`: somebody else began a build."""
    return f"ws.event.{_id(workspace_id, 'workspace_id')}.build.created"


def job_event(workspace_id: str, status: str, provisioner: str | None = None) -> str:
    """`ws.event.<workspace_id>.job.<status>`: a provisioner's report; with its tag behind it where NATS checks that."""
    subject = f"ws.event.{_id(workspace_id, 'workspace_id')}.job.{_word(status, JOB_STATUSES, 'status')}"
    return subject if provisioner is None else f"{subject}.{_tag(provisioner)}"


def job_events(workspace_id: str) -> str:
    """`ws.event.<workspace_id>.job.>`: all reports on the workspace's jobs."""
    return f"ws.event.{_id(workspace_id, 'workspace_id')}.job.>"


def agent_event(workspace_id: str, agent_id: str, kind: str) -> str:
    """`ws.event.<workspace_id>.agent.<agent_id>.<kind>`, kind `connected`, `disconnected` or `lifecycle`."""
    workspace, agent = _id(workspace_id, "workspace_id"), _id(agent_id, "agent_id")
    return f"ws.event.{workspace}.agent.{agent}.{_word(kind, AGENT_KINDS, 'kind')}"


def timer(kind: str, slot: str) -> str:
    """`ws.timer.<kind>.<slot>`: a schedule's slot; publishing there again replaces it."""
    return f"ws.timer.{_word(kind, TIMER_KINDS, 'kind')}.{_id(slot, 'slot')}"


def due(kind: str, slot: str) -> str:
    """`ws.due.<kind>.<slot>`: where the server puts what was scheduled."""
    return f"ws.due.{_word(kind, TIMER_KINDS, 'kind')}.{_id(slot, 'slot')}"


LOOKS_AT_QUEUE: Final = ("ws.timer.queue.*", "ws.due.queue.*")
"""Looks at the queue of start builds: in their slots, and on their way from there."""


def job(provisioner: str, job_id: str) -> str:
    """`ws.job.<provisioner>.<job_id>`: a job waits here for a provisioner of that tag."""
    return f"ws.job.{_tag(provisioner)}.{_id(job_id, 'job_id')}"


def jobs_of(provisioner: str) -> str:
    """`ws.job.<provisioner>.>`: all jobs of a tag."""
    return f"ws.job.{_tag(provisioner)}.>"


def cancel(job_id: str) -> str:
    """`ws.cancel.<job_id>`: stop working on it."""
    return f"ws.cancel.{_id(job_id, 'job_id')}"


def resync(workspace_id: str | None = None) -> str:
    """`ws.resync`, or `ws.resync.<workspace_id>` for one workspace: tell again what you know."""
    return "ws.resync" if workspace_id is None else f"ws.resync.{_id(workspace_id, 'workspace_id')}"


def revoke(workspace_id: str) -> str:
    """`ws.revoke.<workspace_id>`: agents of its earlier builds must go."""
    return f"ws.revoke.{_id(workspace_id, 'workspace_id')}"


def log(workspace_id: str, build_id: str) -> str:
    """`ws.log.<workspace_id>.<build_id>`: a build's lines."""
    return f"ws.log.{_id(workspace_id, 'workspace_id')}.{_id(build_id, 'build_id')}"


def logs_of(build_id: str) -> str:
    """`ws.log.*.<build_id>`: a build's lines, for a reader that knows the build only."""
    return f"ws.log.*.{_id(build_id, 'build_id')}"


def chat(chat_id: str, state: str, tenant: str | None = None) -> str:
    """`ws.chat.<chat_id>.<state>`: the announcement of a transition to that state; `ws.org.<tenant>.chat.…` too."""
    return f"{_prefix('chat', tenant)}.{_id(chat_id, 'chat_id')}.{_word(state, STATES, 'state')}"


def chat_all(chat_id: str, tenant: str | None = None) -> str:
    """`ws.chat.<chat_id>.>`: all announcements of a chat."""
    return f"{_prefix('chat', tenant)}.{_id(chat_id, 'chat_id')}.>"


def all_chats(tenant: str | None = None) -> str:
    """`ws.chat.>`: all announcements, or all of one organization."""
    return f"{_prefix('chat', tenant)}.>"


def ping(agent_id: str) -> str:
    """`ws.agent.<agent_id>.ping`: an agent answers here."""
    return f"ws.agent.{_id(agent_id, 'agent_id')}.ping"


def agent(agent_id: str) -> str:
    """`ws.agent.<agent_id>.>`: all that an agent is asked."""
    return f"ws.agent.{_id(agent_id, 'agent_id')}.>"


def kick(server_id: str) -> str:
    """`ws.kick.<server_id>`: the NATS server drops the connection that the body names."""
    if _ODD_TOKEN.search(server_id) or "." in server_id:
        raise BadRequest("server_id must be one token", field="server_id")
    return f"ws.kick.{server_id}"


def dead(subject: str) -> str:
    """`ws.dead.<original subject>`: a message that nobody could use. A token that none may publish to becomes `_`."""
    return "ws.dead." + ".".join("_" if _ODD_TOKEN.search(token) else token for token in subject.split("."))


def _prefix(kind: str, tenant: str | None) -> str:
    return f"ws.{kind}" if tenant is None else f"ws.org.{_id(tenant, 'tenant')}.{kind}"


def _id(text: str, field: str) -> str:
    if not is_uuid(text):
        raise BadRequest(f"{field} must be a UUID in canonical lower case", field=field)
    return text


def _tag(text: str) -> str:
    if not is_tag(text):
        raise BadRequest("a provisioner's tag is 1 to 64 of a-z, 0-9 and -", field="provisioner")
    return text


def _word(text: str, known: Container[str], field: str) -> str:
    if text not in known:
        raise BadRequest(f"unknown {field} {text[:100]!r}", field=field)
    return text


# --- parsing ----------------------------------------------------------------------------------------------------------


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
    tokens = subject.split(".")
    if tokens[:2] == ["ws", "dead"] and tokens[2:]:
        return DeadSubject(".".join(tokens[2:]))
    for form, kind in _FORMS.get(".".join(tokens[:2]), ()):
        if len(form) == len(tokens) and all(part in (token, _FIELD) for part, token in zip(form, tokens, strict=True)):
            fields = (token for part, token in zip(form, tokens, strict=True) if part == _FIELD)
            named: Subject = kind(*map(_checked, kind.__struct_fields__, fields, repeat(subject)))
            return named
    raise UndecodableMessage("unknown_kind", f"nobody knows {subject[:200]}")


def _checked(field: str, token: str, subject: str) -> str:
    if field not in _WORDS:
        if (is_tag if field == "provisioner" else is_uuid)(token):
            return token
        raise UndecodableMessage("bad_subject", f"{token[:100]!r} is no {field}, in {subject[:200]}")
    if token not in _WORDS[field]:
        raise UndecodableMessage("unknown_kind", f"nobody knows {subject[:200]}")
    return token


_FIELD: Final = ""
"""Stands in a form where the struct's next field is; no token of a legal subject is empty."""
_WORDS: Final[dict[str, Container[str]]] = {
    "verb": frozenset(COMMANDS),
    "status": JOB_STATUSES,
    "state": STATES,
    "agent_event": AGENT_KINDS,
    "advisory": frozenset({"connect", "disconnect"}),
    "timer": TIMER_KINDS,
}
"""Fields that are one of some words; the others are ids."""


def _forms(*pairs: tuple[str, Callable[..., Subject]]) -> dict[str, list[tuple[list[str], Any]]]:
    """Forms by their first two tokens, `*` where a field stands."""
    forms: dict[str, list[tuple[list[str], Any]]] = {}
    for text, kind in pairs:
        tokens = [_FIELD if token == "*" else token for token in text.split(".")]  # noqa: S105  # no password
        forms.setdefault(".".join(tokens[:2]), []).append((tokens, kind))
    return forms


_FORMS: Final = _forms(
    ("ws.cmd.*.*", CommandSubject),
    ("ws.event.*.job.*", JobEventSubject),
    ("ws.event.*.job.*.*", JobEventSubject),
    ("ws.event.*.agent.*.*", AgentEventSubject),
    ("ws.event.*.build.created", BuildCreatedSubject),
    ("ws.due.*.*", DueSubject),
    ("ws.sys.*", AdvisorySubject),
    ("ws.job.*.*", JobSubject),
    ("ws.cancel.*", CancelSubject),
    ("ws.resync.*", ResyncSubject),
    ("ws.resync", ResyncSubject),
    ("ws.log.*.*", LogSubject),
    ("ws.chat.*.*", ChatSubject),
    ("ws.agent.*.ping", PingSubject),
)
