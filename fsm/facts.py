"""What is known of one workspace: itself, its latest build with the build's job, and that build's agents.

Facts are rows of Postgres as they are: field names are column names. How messages change them is `merge.py`.
"""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from workspaced.fsm.values import Connection, JobStatus, Lifecycle, Link, Parameters, Transition

IN_FLIGHT = ("pending", "running", "canceling")
QUEUE_TIMEOUT = "QUEUE_TIMEOUT"
"""The `error_code` of a build that waited in the queue for too long."""


class Workspace(Struct, frozen=True):
    """A compute environment made from a template; several chats may share one (domain.md section 1)."""

    id: str
    name: str
    owner_id: str
    owner_name: str
    organization_id: str
    template_id: str
    created_at: datetime
    ttl_ms: int | None = None
    ttl_at: datetime | None = None
    """When its TTL is over; counts only for the build it was set for, the latest."""
    deleted: bool = False
    name_released: bool = False
    """A clean-up delete is requested, so the name is free at once (wire.md section 8)."""
    was_ready: bool = False
    next: str | None = None
    """The build that follows the one in flight: `start` or `delete`."""
    next_parameters: Parameters | None = None
    next_initiator: str | None = None


class Quota(Struct, frozen=True):
    """What a provisioner's quota check found."""

    credits_consumed: int
    budget: int


class Queue(Struct, frozen=True):
    """Where a build stands that waits until fewer builds run: its place among those that the same limit holds back."""

    place: int = 0
    """From 1; 0 until the queue has been looked at."""
    of: Literal["owner", "template"] | None = None
    """Whose limit it is."""
    limit: int = 0
    """How many builds that limit lets run at once."""


class Build(Struct, frozen=True):
    """A numbered attempt to move a workspace, and the job that a provisioner executes for it."""

    id: str
    workspace_id: str
    build_number: int
    transition: Transition
    job_id: str
    requested_at: datetime
    provisioner: str = "local"
    template_version_id: str | None = None
    prior_version_id: str | None = None
    """The template version of the build before it."""
    prior_build_id: str | None = None
    preset_id: str | None = None
    parameters: Parameters = {}
    initiator: str | None = None
    request_id: str | None = None
    worker: str | None = None
    attempt: int = 0
    error: str = ""
    error_code: str | None = None
    retryable: bool | None = None
    quota: Quota | None = None
    reported: JobStatus = "pending"
    """The furthest status that was told; what it amounts to is `job_status`."""
    started_at: datetime | None = None
    canceled_at: datetime | None = None
    completed_at: datetime | None = None
    limited: bool = False
    """The engine ended the job by a limit; its provisioner's own terminal report still counts (domain.md 6.1)."""
    foreign: bool = False
    """Somebody else began it (`build.created`): its job never stood in our queue."""
    agents_told: bool = False
    ready_at: datetime | None = None
    """The first time this build's workspace was ready; its TTL runs from there."""
    agent_secret_hash: str | None = None
    """What its agents' secret hashes to; none: they get in by other credentials, or not at all."""
    queue: Queue | None = None
    """It waits for a limit and its job is on no queue yet; where it stood when the queue first looked at it."""
    released_at: datetime | None = None
    """When the limits let it go, if they ever held it back; its pending limit runs from there."""


class Agent(Struct, frozen=True):
    """A process inside the workspace; new ones for every build."""

    id: str
    workspace_id: str
    build_id: str
    created_at: datetime
    announced: bool = False
    """Told by the build's success; before that its facts are only kept."""
    name: str = ""
    parent_id: str | None = None
    display_order: int = 0
    external: bool = False
    connection_timeout_seconds: int | None = None
    troubleshooting_url: str | None = None
    first_connected_at: datetime | None = None
    last_connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    """Since when it is away; empty as long as it is connected."""
    server_id: str | None = None
    client_id: int | None = None
    gone: bool = False
    """The connection (server_id, client_id) was reported gone and never counts again."""
    lifecycle: Lifecycle = "created"
    lifecycle_at: datetime | None = None
    lifecycle_server_id: str | None = None
    lifecycle_client_id: int | None = None
    started_at: datetime | None = None
    ready_at: datetime | None = None

    @property
    def connection(self) -> Connection | None:
        """The newest connection that the agent named."""
        return None if self.server_id is None or self.client_id is None else (self.server_id, self.client_id)

    @property
    def connected(self) -> bool:
        """It is connected now."""
        return self.last_connected_at is not None and self.disconnected_at is None

    @property
    def lifecycle_connection(self) -> Connection | None:
        """The connection on which the applied lifecycle report came."""
        if self.lifecycle_server_id is None or self.lifecycle_client_id is None:
            return None
        return (self.lifecycle_server_id, self.lifecycle_client_id)


class Facts(Struct, frozen=True):
    """All that is known of one workspace."""

    workspace: Workspace
    build: Build | None = None
    agents: tuple[Agent, ...] = field(default=())

    def agent(self, agent_id: str | None) -> Agent | None:
        """The agent of that id, announced or not."""
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    @property
    def in_flight(self) -> bool:
        """An unfinished build exists."""
        return self.build is not None and job_status(self.build) in IN_FLIGHT


def without_next(workspace: Workspace) -> Workspace:
    """The workspace with nothing noted to follow the build in flight."""
    return replace(workspace, next=None, next_parameters=None, next_initiator=None)


def job_status(build: Build) -> JobStatus:
    """The status of a build's job; an error wins over a cancel (domain.md 6.1, first match wins)."""
    if build.completed_at is not None:
        if build.error:
            return "failed"
        if build.canceled_at is not None:
            return "canceled"
        return "failed" if build.reported == "failed" else "succeeded"
    if build.error:
        return "failed"
    if build.canceled_at is not None:
        return "canceling"
    return "pending" if build.started_at is None else "running"


def agent_link(agent: Agent, now: datetime, default_timeout: timedelta) -> Link:
    """The agent's link at `now` (domain.md 6.2); `default_timeout` serves agents that name none, 0 means never."""
    if agent.last_connected_at is None:
        seconds = agent.connection_timeout_seconds
        timeout = default_timeout if seconds is None else timedelta(seconds=seconds)
        return "timeout" if timeout and now - agent.created_at > timeout else "connecting"
    return "connected" if agent.disconnected_at is None else "disconnected"


def agent_link_since(agent: Agent, now: datetime, default_timeout: timedelta) -> datetime:
    """Since when the link is what it is."""
    link = agent_link(agent, now, default_timeout)
    if link == "connected" and agent.last_connected_at is not None:
        return agent.last_connected_at
    if link == "disconnected" and agent.disconnected_at is not None:
        return agent.disconnected_at
    if link == "timeout":
        seconds = agent.connection_timeout_seconds
        return agent.created_at + (default_timeout if seconds is None else timedelta(seconds=seconds))
    return agent.created_at
