"""What the engine says after a commit. Effects are recorded with the rows, so that a redelivered input says them again.

Announcing a transition is not listed: every transition row is its own announcement.
"""

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct

from workspaced.fsm.values import Parameters, Transition


class JobWorkspace(Struct, frozen=True):
    """The workspace of a job."""

    id: str
    name: str
    ttl_ms: int | None


class JobOwner(Struct, frozen=True):
    """The owner of a job's workspace."""

    id: str
    name: str


class JobTemplate(Struct, frozen=True):
    """What to build; `source` is any JSON, opaque to the engine."""

    id: str
    name: str
    version_id: str | None
    source: Raw


class Job(Struct, frozen=True):
    """The body of `ws.job.<provisioner>.<job_id>` (wire.md section 5)."""

    id: str
    at: datetime
    job_id: str
    build_id: str
    build_number: int
    transition: Transition
    workspace: JobWorkspace
    owner: JobOwner
    organization_id: str
    template: JobTemplate
    parameters: Parameters
    preset_id: str | None
    prior_build_id: str | None
    agent_secret: str | None = None


class PublishJob(Struct, frozen=True, tag="publish_job"):
    """Put a job on its provisioner's queue; its message id is `<workspace>:<build>`."""

    provisioner: str
    job: Job
    """Without the agents' secret, for effects are kept."""
    with_secret: bool = False
    """Whoever publishes it puts the secret in."""


class PurgeJob(Struct, frozen=True, tag="purge_job"):
    """Take a job from its queue that nobody should start any more."""

    provisioner: str
    job_id: str


class StopJob(Struct, frozen=True, tag="stop_job"):
    """Tell whoever works on a job to stop: `ws.cancel.<job_id>`."""

    job_id: str
    build_id: str
    workspace_id: str
    reason: Literal["canceled", "limit", "late"]


class ChatDeadline(Struct, frozen=True, tag="chat"):
    """A chat's deadline; `version` is the one that set it."""

    chat_id: str
    version: int

    @property
    def slot(self) -> str:
        """The id of the timer's slot; a new timer in a slot replaces the former."""
        return self.chat_id


class WorkspaceExpiry(Struct, frozen=True, tag="ttl"):
    """A workspace's TTL; `at` must still be the one on the row."""

    workspace_id: str
    at: datetime

    @property
    def slot(self) -> str:
        """The id of the timer's slot."""
        return self.workspace_id


class JobLimit(Struct, frozen=True, tag="job"):
    """A job has been `pending` or `running` for too long (domain.md section 9)."""

    workspace_id: str
    job_id: str
    status: Literal["pending", "running"]

    @property
    def slot(self) -> str:
        """The id of the timer's slot."""
        return self.job_id


class LinkLost(Struct, frozen=True, tag="link"):
    """An agent's connection that the servers do not list any more; said at once, by an engine that asked them.

    As a timer it is on a stream, so that it survives the engine. `certain` as in `events.ConnectionLost`.
    """

    agent_id: str
    server_id: str
    client_id: int
    certain: bool

    @property
    def slot(self) -> str:
        """The id of the timer's slot."""
        return self.agent_id


class QueueTurn(Struct, frozen=True, tag="queue"):
    """A start build joined the queue or ended, or a limit was changed: see which builds may begin; said at once."""

    workspace_id: str
    build_id: str

    @property
    def slot(self) -> str:
        """The id of the timer's slot."""
        return self.workspace_id


Due = ChatDeadline | WorkspaceExpiry | JobLimit | QueueTurn
"""What a timer says about the engine's own waiting."""
Timed = Due | LinkLost
"""What a timer says when it goes off: the body of `ws.due.<kind>.<id>`."""


class SetTimer(Struct, frozen=True, tag="set_timer"):
    """Have `due` sent back at `at`. Nothing cancels a timer: one that is not wanted any more is found stale."""

    at: datetime
    due: Timed


class AskAgents(Struct, frozen=True, tag="ask_agents"):
    """Have a workspace's agents tell again what they know: `ws.resync.<workspace_id>`."""

    workspace_id: str


class RevokeAgents(Struct, frozen=True, tag="revoke_agents"):
    """Have the agents of a workspace's earlier builds turned out: `ws.revoke.<workspace_id>`."""

    workspace_id: str
    build_id: str
    """The build that counts now."""


Effect = PublishJob | PurgeJob | StopJob | SetTimer | AskAgents | RevokeAgents
