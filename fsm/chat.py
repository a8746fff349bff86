"""A chat's row: where its machine stands, what it is bound to, and the transitions that led there."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from workspaced.fsm.facts import Quota
from workspaced.fsm.state import State

FailureCode = Literal[
    "job_not_taken",
    "build_timeout",
    "build_failed",
    "insufficient_quota",
    "build_canceled",
    "queue_timeout",
    "no_agent",
    "selection_error",
    "agents_unknown",
    "agent_not_connected",
    "agent_disconnected",
    "startup_failed",
    "startup_timeout",
]


class Failure(Struct, frozen=True):
    """Why a chat stopped short: `phase` is the state that did (domain.md 6.4).

    `retryable` says whether the same command may succeed unchanged.
    """

    phase: State
    code: FailureCode
    message: str
    retryable: bool
    quota: Quota | None = None


class Cause(Struct, frozen=True):
    """What moved a chat: a verb, an event's kind, `deadline`, `ttl`, `limit`, `queue`, `resync` or `cleanup`."""

    event: str
    id: str
    at: datetime


class Chat(Struct, frozen=True):
    """One chat. `version` 0 means that no row exists yet; the first transition is version 1."""

    id: str
    owner_id: str
    owner_name: str
    organization_id: str
    version: int = 0
    state: State = State.IDLE
    entered_at: datetime | None = None
    """When `state` was entered; announcements that keep the state keep it. None before version 1."""
    parent_chat_id: str | None = None
    workspace_id: str | None = None
    build_id: str | None = None
    agent_id: str | None = None
    failure: Failure | None = None
    cause: Cause | None = None
    deadline_at: datetime | None = None
    deadline_version: int = 0
    """The version that set the deadline; a wake-up for another one is stale."""
    deadline_ms: int = 0
    """The configured length of that deadline, for the failure's text."""
    starting_left_ms: int | None = None
    """What was left of the starting deadline when the link was lost; goes on unless the agent was restarted."""
    agent_started_at: datetime | None = None
    """The bound agent's `started_at` when the machine last looked; a later one means a restart."""

    @property
    def deadline_span(self) -> timedelta:
        """The configured length of the current deadline."""
        return timedelta(milliseconds=self.deadline_ms)
