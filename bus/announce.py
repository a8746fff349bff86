"""Decided rows become messages: each transition its push, each effect what it stands for.

Message ids are the same whenever a row is said again, so a repetition within the stream's window is stored once.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace

from workspaced.bus import cloud_events, headers, streams, subjects
from workspaced.bus.codec import encode
from workspaced.bus.messages import CancelJob, Resync, Revoked
from workspaced.bus.publish import Message, with_id
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.chat import Cause
from workspaced.fsm.effects import (
    AskAgents,
    ChatDeadline,
    Effect,
    JobLimit,
    LinkLost,
    PublishJob,
    PurgeJob,
    QueueTurn,
    RevokeAgents,
    SetTimer,
    StopJob,
    Timed,
    WorkspaceExpiry,
)
from workspaced.fsm.rows import InputRow, TransitionRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Push(Struct, kw_only=True):
    """`messages.Push` with the snapshot as the bytes it is stored in."""

    id: str
    at: datetime
    chat_id: str
    version: int
    from_state: str = field(name="from")
    to_state: str = field(name="to")
    cause: Cause
    snapshot: Raw


def messages_of(
    rows: Iterable[TransitionRow],
    inputs: Iterable[InputRow] = (),
    traces: Mapping[str, str] | None = None,
    secrets: AgentSecrets | None = None,
    *,
    organizations: Mapping[str, str] | None = None,
) -> list[Message]:
    """All that is to be said of `rows` and `inputs`, in their order; a row's effects stand before its push.

    `traces` has the traceparent of an input, by its key; pushes of what came of it carry it. Of chats that
    `organizations` has, by id, each push goes to the organization too.
    """
    messages = []
    for row in rows:
        messages += [effect_message(effect, row.at, secrets) for effect in row.effects]
        push = push_message(row, traces.get(row.input_key) if traces else None)
        if organizations and (tenant := organizations.get(row.chat_id)):
            messages.append(_for_tenant(row, push, tenant))
        messages.append(push)
    for given in inputs:
        messages += [effect_message(effect, given.at, secrets) for effect in given.effects]
    return messages


def push_message(row: TransitionRow, traceparent: str | None = None) -> Message:
    """The push of one transition, on `ws.chat.<chat_id>.<to>`; its id is `<chat_id>:<version>`."""
    name = f"{row.chat_id}:{row.version}"
    body = _Push(
        id=name,
        at=row.at,
        chat_id=row.chat_id,
        version=row.version,
        from_state=row.from_state,
        to_state=row.to_state,
        cause=row.cause,
        snapshot=row.snapshot,
    )
    attributes = _attributes(name, f"chat.{row.to_state}", row.at, traceparent)
    return Message(subjects.chat(row.chat_id, row.to_state), encode(body), attributes)


def _for_tenant(row: TransitionRow, push: Message, tenant: str) -> Message:
    """The push on `ws.org.<organization_id>.chat.<chat_id>.<to>`.

    No stream keeps it. It goes ahead of the one that a stream does, on one connection: that one's answer tells that the
    server has passed this one on.
    """
    return replace(push, subject=subjects.chat(row.chat_id, row.to_state, tenant), answered=False)


def effect_message(
    effect: Effect, at: datetime, secrets: AgentSecrets | None = None, traces: Mapping[str, str] | None = None
) -> Message:
    """What `effect` stands for; `at` is the time of the input that caused it.

    A job gets its agents' secret here, and the traceparent that `traces` has for its build's id.
    """
    match effect:
        case PublishJob():
            job = effect.job
            if effect.with_secret and secrets is not None:
                job = replace(job, agent_secret=secrets.of(job.build_id))
            name = f"{job.workspace.id}:{job.build_id}"
            subject = subjects.job(effect.provisioner, job.job_id)
            trace = traces.get(job.build_id) if traces else None
            attributes = _attributes(name, f"job.{job.transition}", job.at, trace)
            return Message(subject, encode(job), attributes)
        case SetTimer():
            return timer_message(effect)
        case PurgeJob():
            purge = {"filter": subjects.job(effect.provisioner, effect.job_id)}
            return Message(f"$JS.API.STREAM.PURGE.{streams.JOBS}", encode(purge))
        case StopJob():
            stop = CancelJob(effect.job_id, effect.build_id, effect.workspace_id, effect.reason)
            return Message(subjects.cancel(effect.job_id), encode(stop), answered=False)
        case AskAgents():
            return resync_message(at, effect.workspace_id)
        case RevokeAgents():
            revoked = Revoked(effect.workspace_id, effect.build_id)
            return Message(subjects.revoke(effect.workspace_id), encode(revoked), answered=False)


def timer_message(timer: SetTimer) -> Message:
    """A schedule in the slot of its due message; one that was there is replaced."""
    kind, slot = str(timer.due.__struct_config__.tag), timer.due.slot
    at = timer.at.astimezone(UTC)
    # Two timers of one slot may be due at the same moment (a later version keeps the deadline), so time is not enough.
    name = f"{kind}:{slot}:{_distinction(timer.due)}:{(at - _EPOCH).total_seconds():.6f}"
    schedule = {
        headers.SCHEDULE: f"@at {at.isoformat(timespec='microseconds').removesuffix('+00:00')}Z",
        headers.SCHEDULE_TARGET: subjects.due(kind, slot),
    }
    return Message(subjects.timer(kind, slot), msgspec.json.encode(timer.due), with_id(name) | schedule)


def resync_message(at: datetime, workspace_id: str | None = None) -> Message:
    """Agents and provisioners, of one workspace or of all, are asked to tell again what they know."""
    return Message(subjects.resync(workspace_id), encode(Resync(at)), answered=False)


def _distinction(due: Timed) -> str:
    match due:
        case ChatDeadline():
            return str(due.version)
        case JobLimit():
            return due.status
        case WorkspaceExpiry():
            return "at"
        case QueueTurn():
            return due.build_id
        case LinkLost():
            return f"{due.server_id}:{due.client_id}"


def _attributes(name: str, kind: str, at: datetime, traceparent: str | None) -> dict[str, str]:
    """The message id, CloudEvents' attributes, and the trace."""
    attributes = cloud_events.attributes(name, kind, at)
    return attributes | {headers.TRACEPARENT: traceparent} if traceparent else attributes
