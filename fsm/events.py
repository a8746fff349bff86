"""What provisioners and agents report: the bodies of `ws.event.…` as they stand on the wire (wire.md section 4)."""

from typing import Annotated

from msgspec import Meta, Struct

from workspaced.fsm.facts import Quota
from workspaced.fsm.values import Id, JobStatus, Lifecycle, Parameters, Time, Transition

ERROR_LENGTH = 4096
"""Characters of a job's error that are kept."""

Number = Annotated[int, Meta(ge=1, le=2_147_483_647)]
ClientId = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)]
ServerId = Annotated[str, Meta(min_length=1, max_length=128)]
Short = Annotated[str, Meta(max_length=256)]


class AgentReport(Struct, frozen=True):
    """An agent as its build's success tells it."""

    id: Id
    name: Short
    parent_id: Id | None = None
    display_order: Annotated[int, Meta(ge=-2_147_483_648, le=2_147_483_647)] = 0
    external: bool = False
    connection_timeout_seconds: Annotated[int, Meta(ge=0, le=31_536_000)] | None = None
    created_at: Time | None = None
    troubleshooting_url: Annotated[str, Meta(max_length=2048)] | None = None


class JobReport(Struct, frozen=True):
    """`job.<status>`: a provisioner tells how its job stands."""

    build_id: Id
    build_number: Number
    job_id: Id
    id: str | None = None
    at: Time | None = None
    worker: Short | None = None
    attempt: Number = 1
    error: str = ""
    error_code: Short | None = None
    retryable: bool | None = None
    quota: Quota | None = None
    agents: Annotated[tuple[AgentReport, ...], Meta(max_length=100)] | None = None


class BuildCreated(Struct, frozen=True):
    """`build.created`: a build that somebody else began."""

    build_id: Id
    build_number: Number
    transition: Transition
    job_id: Id
    id: str | None = None
    at: Time | None = None
    template_version_id: Id | None = None
    parameters: Parameters | None = None
    initiator: Short | None = None


class AgentConnected(Struct, frozen=True):
    """`agent.<id>.connected`: the agent names the connection it is on."""

    server_id: ServerId
    client_id: ClientId
    id: str | None = None
    at: Time | None = None
    build_id: Id | None = None


class AgentDisconnected(Struct, frozen=True):
    """`agent.<id>.disconnected`: the agent is about to close that connection."""

    server_id: ServerId
    client_id: ClientId
    id: str | None = None
    at: Time | None = None
    build_id: Id | None = None


class LifecycleChanged(Struct, frozen=True):
    """`agent.<id>.lifecycle`: how far the agent is with its scripts."""

    server_id: ServerId
    client_id: ClientId
    state: Lifecycle
    id: str | None = None
    at: Time | None = None
    build_id: Id | None = None
    exit_code: int | None = None


class ConnectionLost(Struct, frozen=True):
    """The NATS server's word that a connection is gone (`ws.sys.disconnect`), or that its server is.

    `certain` is false when its server did not answer: then the agent may tell the same connection again.
    """

    server_id: str
    client_id: int
    reason: str = ""
    certain: bool = True
    agent_id: str | None = None
    """Whose connection it was, where the server knows; then it is nobody else's, whoever names it."""


class JobChanged(Struct, frozen=True):
    """A job report with the status that its subject names."""

    status: JobStatus
    report: JobReport


AgentEvent = AgentConnected | AgentDisconnected | LifecycleChanged
