"""A stored message becomes an `Input` of the core: subject and body to a typed payload, with id and time settled."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from workspaced.bus import subjects, tokens
from workspaced.bus.codec import decode_event
from workspaced.bus.headers import MESSAGE_ID, ORGANIZATION, REPLY
from workspaced.bus.stored import Stored
from workspaced.bus.subject_parser import (
    AdvisorySubject,
    AgentEventSubject,
    BuildCreatedSubject,
    CommandSubject,
    DueSubject,
    JobEventSubject,
    parse,
)
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.effects import Due, LinkLost, Timed
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import (
    AgentConnected,
    AgentDisconnected,
    AgentEvent,
    BuildCreated,
    ClientId,
    ConnectionLost,
    JobChanged,
    JobReport,
    LifecycleChanged,
    ServerId,
)
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent

AHEAD = timedelta(minutes=5)
"""A sender's clock further ahead of the stream's than this is not believed."""
ID_LENGTH = 256
AGENT_USER = "agent"
"""A standing user that agents may share where they have no secrets of their own; the auth callout's are agent ids."""

_AGENT_EVENTS: dict[str, type[AgentEvent]] = {
    "connected": AgentConnected,
    "disconnected": AgentDisconnected,
    "lifecycle": LifecycleChanged,
}


class _Client(Struct):
    id: ClientId
    user: str = ""
    stop: datetime | None = None


class _Server(Struct):
    id: ServerId


class _Advisory(Struct):
    """The NATS server's word about a connection."""

    server: _Server
    client: _Client
    id: str | None = None
    timestamp: datetime | None = None
    reason: str = ""


def decode(stored: Stored) -> Input | None:
    """What one message says; None when it concerns nobody here.

    Raises UndecodableMessage: `not_json`, `bad_body`, `bad_subject` or `unknown_kind`.
    """
    subject = parse(stored.subject)
    decode_as = _DECODERS.get(type(subject))
    if decode_as is None:
        raise UndecodableMessage("unknown_kind", f"no engine takes {stored.subject[:200]}")
    return decode_as(stored, subject)


def _command(stored: Stored, subject: CommandSubject) -> Input:
    command = decode_event(stored.body, COMMANDS[subject.verb])
    if command.chat_id != subject.chat_id:
        raise UndecodableMessage("bad_body", "chat_id: differs from the subject's")
    tenant = stored.headers.get(ORGANIZATION)
    return _input(stored, Ask(command, content_of(subject.verb, stored.body), reply_inbox(stored), tenant))


def reply_inbox(stored: Stored) -> str | None:
    """Where the answer to a command goes; None when nobody waits, or at a place that is no inbox."""
    reply = stored.headers.get(REPLY, "")
    return reply if reply.startswith("_INBOX") and _is_name(reply) and not set(reply) & set(" *>") else None


def content_of(verb: str, body: bytes) -> str:
    """What tells a repeated command from another under the same request_id; sha256, 64 hex digits."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise UndecodableMessage("not_json", str(error)[:200]) from None
    value.pop("request_id", None)
    return sha256(msgspec.json.encode([verb, value], order="deterministic")).hexdigest()


def _build_created(stored: Stored, subject: BuildCreatedSubject) -> Input:
    event: BuildCreated = decode_event(stored.body, BuildCreated)
    return _input(stored, WorkspaceEvent(subject.workspace_id, event), event.id, event.at)


def _job(stored: Stored, subject: JobEventSubject) -> Input:
    report: JobReport = decode_event(stored.body, JobReport)
    event = JobChanged(subject.status, report)  # type: ignore[arg-type]  # parse let none but the known through
    told = WorkspaceEvent(subject.workspace_id, event, provisioner=subject.provisioner)
    return _input(stored, told, report.id, report.at)


def _agent(stored: Stored, subject: AgentEventSubject) -> Input:
    event: AgentEvent = decode_event(stored.body, _AGENT_EVENTS[subject.agent_event])
    return _input(stored, WorkspaceEvent(subject.workspace_id, event, subject.agent_id), event.id, event.at)


def _due(stored: Stored, subject: DueSubject) -> Input:
    due: Timed = decode_event(stored.body, Timed)
    if due.slot != subject.slot or due.__struct_config__.tag != subject.timer:
        raise UndecodableMessage("bad_body", "another timer than the subject's")
    if isinstance(due, LinkLost):
        lost = ConnectionLost(due.server_id, due.client_id, "not there any more", due.certain, due.agent_id)
        return _input(stored, lost)
    return _input(stored, due)


def _advisory(stored: Stored, subject: AdvisorySubject) -> Input | None:
    if subject.advisory != "disconnect":
        return None  # an agent tells its connection itself
    advisory: _Advisory = decode_event(stored.body, _Advisory)
    user = advisory.client.user
    if user != AGENT_USER and not tokens.is_uuid(user):
        return None  # an engine, a daemon or a provisioner
    lost = ConnectionLost(
        advisory.server.id,
        advisory.client.id,
        advisory.reason[:ID_LENGTH],
        agent_id=None if user == AGENT_USER else user,
    )
    return _input(stored, lost, advisory.id, advisory.client.stop or advisory.timestamp)


def server_that_connected(stored: Stored) -> str | None:
    """The id of the NATS server that a `ws.sys.connect` comes from; None for anything else."""
    if stored.subject != subjects.CONNECT_ADVISORY:
        return None
    try:
        advisory: _Advisory = decode_event(stored.body, _Advisory)
    except UndecodableMessage:
        return None
    return advisory.server.id


def _input(
    stored: Stored,
    payload: WorkspaceEvent | Ask | Due | ConnectionLost,
    own: str | None = None,
    at: datetime | None = None,
) -> Input:
    names = (own, stored.headers.get(MESSAGE_ID))
    return Input(
        key=stored.key,
        id=next((name for name in names if name and _is_name(name)), f"{stored.stream}:{stored.sequence}"),
        at=_believed(at, stored.at),
        received=stored.at,
        subject=stored.subject,
        payload=payload,
    )


def _believed(at: datetime | None, received: datetime) -> datetime:
    if at is None or at.tzinfo is None:
        return received
    try:
        at = at.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar
        return received
    return received if at - received > AHEAD else at


def _is_name(text: str) -> bool:
    return len(text) <= ID_LENGTH and text.isprintable()


_DECODERS: dict[type, Callable[[Stored, Any], Input | None]] = {
    CommandSubject: _command,
    BuildCreatedSubject: _build_created,
    JobEventSubject: _job,
    AgentEventSubject: _agent,
    DueSubject: _due,
    AdvisorySubject: _advisory,
}
