"""What the engine takes in, decoded: one `Input` per message, its payload one of the known kinds."""

from datetime import datetime

from msgspec import Struct

from workspaced.fsm.commands import Command
from workspaced.fsm.effects import Due
from workspaced.fsm.events import AgentEvent, BuildCreated, ConnectionLost, JobChanged


class WorkspaceEvent(Struct, frozen=True):
    """Something about one workspace that its provisioner or agent told."""

    workspace_id: str
    event: JobChanged | BuildCreated | AgentEvent
    agent_id: str | None = None
    """Whose event it is; the subject names it, for agents' events only."""
    provisioner: str | None = None
    """Of a job report the tag of who says it, where the subject names one and so NATS has checked it."""


class Ask(Struct, frozen=True):
    """A command, and what tells a repeated request from another one under the same id."""

    command: Command
    content: str
    """Hash of verb and body without `request_id`, the body compared as a JSON value."""
    reply_to: str | None = None
    """Where the engine that took the request waits for the answer."""
    tenant: str | None = None
    """The organization that the sender is limited to; None for one who may touch every chat."""


class Input(Struct, frozen=True):
    """One message."""

    key: str
    """Names the stored message for good: stream, time in the stream, sequence. Redelivery keeps it."""
    id: str
    """The id that its sender gave it; what history and causes show."""
    at: datetime
    """When its sender says it happened; `received` when the sender says nothing or a time far ahead."""
    received: datetime
    """When the stream stored it."""
    subject: str
    payload: WorkspaceEvent | Ask | Due | ConnectionLost
