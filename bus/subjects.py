"""Every subject of the wire, built and parsed; nothing else in the project spells one (design.md section 3).

Builders check each id before it becomes a token and raise `BadRequest` with the id's field. `parse` is their inverse:
it raises `UndecodableMessage`, `bad_subject` when a token is no id where one belongs, `unknown_kind` when the words are
none of ours.
"""

import re
from collections.abc import Callable, Container
from typing import Final, get_args

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
ALL_DUE: Final = "ws.due.>"
ALL_CHATS: Final = "ws.chat.>"
ALL_RESYNC: Final = "ws.resync.*"
ALL_CANCELS: Final = "ws.cancel.*"
API_PREFIX: Final = "ws.api"

JOB_STATUSES: Final[frozenset[str]] = frozenset(get_args(JobStatus))
AGENT_KINDS: Final = frozenset({"connected", "disconnected", "lifecycle"})
TIMER_KINDS: Final = frozenset({"chat", "ttl", "job"})
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


def is_tag(text: str) -> bool:
    """Whether `text` may name a provisioner."""
    return _TAG.fullmatch(text) is not None


# --- building ---------------------------------------------------------------------------------------------------------


def api(verb: str) -> str:
    """`ws.api.<verb>`, where a request goes."""
    return f"{API_PREFIX}.{_word(verb, API_VERBS, 'verb')}"


def command(chat_id: str, verb: str) -> str:
    """`ws.cmd.<chat_id>.<verb>`, where a command is kept until it is decided."""
    return f"ws.cmd.{_id(chat_id, 'chat_id')}.{_word(verb, COMMANDS, 'verb')}"


def build_created(workspace_id: str) -> str:
    """`ws.event.<workspace_id>.build.created`: somebody else began a build."""
    return f"ws.event.{_id(workspace_id, 'workspace_id')}.build.created"


def job_event(workspace_id: str, status: str) -> str:
    """`ws.event.<workspace_id>.job.<status>`: a provisioner's report."""
    return f"ws.event.{_id(workspace_id, 'workspace_id')}.job.{_word(status, JOB_STATUSES, 'status')}"


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


def log(workspace_id: str, build_id: str) -> str:
    """`ws.log.<workspace_id>.<build_id>`: a build's lines."""
    return f"ws.log.{_id(workspace_id, 'workspace_id')}.{_id(build_id, 'build_id')}"


def logs_of(build_id: str) -> str:
    """`ws.log.*.<build_id>`: a build's lines, for a reader that knows the build only."""
    return f"ws.log.*.{_id(build_id, 'build_id')}"


def chat(chat_id: str, state: str) -> str:
    """`ws.chat.<chat_id>.<state>`: the announcement of a transition to that state."""
    return f"ws.chat.{_id(chat_id, 'chat_id')}.{_word(state, STATES, 'state')}"


def chat_all(chat_id: str) -> str:
    """`ws.chat.<chat_id>.>`: all announcements of a chat."""
    return f"ws.chat.{_id(chat_id, 'chat_id')}.>"


def ping(agent_id: str) -> str:
    """`ws.agent.<agent_id>.ping`: an agent answers here."""
    return f"ws.agent.{_id(agent_id, 'agent_id')}.ping"


def dead(subject: str) -> str:
    """`ws.dead.<original subject>`: a message that nobody could use. A token that none may publish to becomes `_`."""
    return "ws.dead." + ".".join("_" if _ODD_TOKEN.search(token) else token for token in subject.split("."))


def _id(text: str, field: str) -> str:
    if not is_uuid(text):
        message = f"{field} must be a UUID in canonical lower case"
        raise BadRequest(message, field=field)
    return text


def _tag(text: str) -> str:
    if not is_tag(text):
        message = "a provisioner's tag is 1 to 64 of a-z, 0-9 and -"
        raise BadRequest(message, field="provisioner")
    return text


def _word(text: str, known: Container[str], field: str) -> str:
    if text not in known:
        message = f"unknown {field} {text[:100]!r}"
        raise BadRequest(message, field=field)
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
    """`ws.event.<workspace_id>.job.<status>`."""

    workspace_id: str
    status: str


class AgentEventSubject(Struct, frozen=True):
    """`ws.event.<workspace_id>.agent.<agent_id>.<kind>`."""

    workspace_id: str
    agent_id: str
    kind: str


class AdvisorySubject(Struct, frozen=True):
    """`ws.sys.connect` or `ws.sys.disconnect`."""

    kind: str


class DueSubject(Struct, frozen=True):
    """`ws.due.<kind>.<slot>`."""

    kind: str
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

    workspace_id: str | None


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
    family = _FAMILIES.get(tokens[1]) if len(tokens) > 1 and tokens[0] == "ws" else None
    if family is None:
        raise _unknown(subject)
    try:
        return family(tokens[2:])
    except _BadToken as error:
        reason = "bad_subject"
        raise UndecodableMessage(reason, f"{str(error)[:100]!r} is no id, in {subject[:200]}") from None
    except LookupError:
        raise _unknown(subject) from None


class _BadToken(Exception):
    """A token that should be an id or a tag and is not."""


def _unknown(subject: str) -> UndecodableMessage:
    reason = "unknown_kind"
    return UndecodableMessage(reason, f"nobody knows {subject[:200]}")


def _uuid(token: str) -> str:
    if _UUID.fullmatch(token) is None:
        raise _BadToken(token)
    return token


def _known(token: str, known: Container[str]) -> str:
    if token not in known:
        raise LookupError(token)
    return token


def _exactly(tokens: list[str], count: int) -> list[str]:
    if len(tokens) != count:
        raise LookupError
    return tokens


def _parse_command(tokens: list[str]) -> Subject:
    chat_id, verb = _exactly(tokens, 2)
    return CommandSubject(_uuid(chat_id), _known(verb, COMMANDS))


def _parse_event(tokens: list[str]) -> Subject:
    workspace_id = _uuid(tokens[0])
    match tokens[1:]:
        case ["job", status]:
            return JobEventSubject(workspace_id, _known(status, JOB_STATUSES))
        case ["build", "created"]:
            return BuildCreatedSubject(workspace_id)
        case ["agent", agent_id, kind]:
            return AgentEventSubject(workspace_id, _uuid(agent_id), _known(kind, AGENT_KINDS))
    raise LookupError


def _parse_due(tokens: list[str]) -> Subject:
    kind, slot = _exactly(tokens, 2)
    return DueSubject(_known(kind, TIMER_KINDS), _uuid(slot))


def _parse_job(tokens: list[str]) -> Subject:
    provisioner, job_id = _exactly(tokens, 2)
    if not is_tag(provisioner):
        raise _BadToken(provisioner)
    return JobSubject(provisioner, _uuid(job_id))


def _parse_resync(tokens: list[str]) -> Subject:
    return ResyncSubject(_uuid(_exactly(tokens, 1)[0]) if tokens else None)


def _parse_log(tokens: list[str]) -> Subject:
    workspace_id, build_id = _exactly(tokens, 2)
    return LogSubject(_uuid(workspace_id), _uuid(build_id))


def _parse_chat(tokens: list[str]) -> Subject:
    chat_id, state = _exactly(tokens, 2)
    return ChatSubject(_uuid(chat_id), _known(state, STATES))


def _parse_agent(tokens: list[str]) -> Subject:
    agent_id, verb = _exactly(tokens, 2)
    _known(verb, ("ping",))
    return PingSubject(_uuid(agent_id))


def _parse_dead(tokens: list[str]) -> Subject:
    return DeadSubject(".".join(tokens) if tokens else _known("", ()))


_FAMILIES: dict[str, Callable[[list[str]], Subject]] = {
    "cmd": _parse_command,
    "event": _parse_event,
    "sys": lambda tokens: AdvisorySubject(_known(_exactly(tokens, 1)[0], ("connect", "disconnect"))),
    "due": _parse_due,
    "job": _parse_job,
    "cancel": lambda tokens: CancelSubject(_uuid(_exactly(tokens, 1)[0])),
    "resync": _parse_resync,
    "log": _parse_log,
    "chat": _parse_chat,
    "agent": _parse_agent,
    "dead": _parse_dead,
}
