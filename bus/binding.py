"""Which agent a chat is bound to, as its snapshot tells it, and what a bad link means (domain.md 8.2, 8.4)."""

from datetime import datetime, timedelta

from msgspec import Struct

from workspaced.bus.dial_errors import (
    AgentDisconnected,
    AgentNotFound,
    DialError,
    DialTimeout,
    ExternalAgentAway,
    NeverConnected,
    NoAgent,
    NoWorkspace,
    Unbound,
)
from workspaced.fsm.snapshot import AgentView, Snapshot

EXTERNAL_NEVER_CONNECTED = (
    "the workspace uses an externally managed agent that has not connected yet; "
    "the user has to start it on its host and then try again"
)
EXTERNAL_OFFLINE = str(ExternalAgentAway())


class Binding(Struct, frozen=True):
    """A workspace, its build and the agent in it."""

    workspace_id: str
    build_id: str | None
    agent_id: str


def workspace_of(snapshot: Snapshot | None) -> str | None:
    """The id of the chat's live workspace."""
    workspace = snapshot.workspace if snapshot else None
    return None if workspace is None or workspace.deleted else workspace.id


def binding_of(snapshot: Snapshot | None) -> Binding | None:
    """The whole triple, None while a part of it is missing."""
    workspace_id = workspace_of(snapshot)
    if snapshot is None or workspace_id is None or snapshot.agent_id is None:
        return None
    return Binding(workspace_id, snapshot.build_id, snapshot.agent_id)


def unbound(snapshot: Snapshot | None) -> Unbound:
    """Why there is nothing to dial, for a snapshot without a binding."""
    if snapshot is None or workspace_of(snapshot) is None:
        return NoWorkspace()
    if snapshot.failure is not None and snapshot.failure.code == "selection_error":
        return AgentNotFound(f"find chat agent: {snapshot.failure.message}")
    return NoAgent()


def external_text(agent: AgentView) -> str:
    """Who has to do something about an external agent that is away."""
    return EXTERNAL_NEVER_CONNECTED if agent.link in {"connecting", "timeout"} else EXTERNAL_OFFLINE


def external_away(snapshot: Snapshot | None) -> ExternalAgentAway | None:
    """The error of an external agent whose link is bad; None for any other agent."""
    agent = snapshot.agent if snapshot else None
    if agent is None or not agent.external or agent.link not in {"disconnected", "timeout"}:
        return None
    return ExternalAgentAway(external_text(agent))


def why_timed_out(snapshot: Snapshot | None, now: datetime, advice_after: timedelta) -> DialError:
    """The error of a dial that ran out of time, by the fresh `snapshot`; None when that could not be had.

    Source: domain.md 8.4, the last table.
    """
    if snapshot is None:
        return DialTimeout()
    agent = snapshot.agent
    if agent is None or snapshot.agent_id is None:
        return NoAgent()
    if agent.external:
        return ExternalAgentAway(external_text(agent))
    if agent.link == "timeout":
        return NeverConnected()
    if agent.link == "disconnected" and now - agent.link_since >= advice_after:
        return AgentDisconnected(
            f"the workspace agent has been disconnected for at least {advice_after.total_seconds():g} seconds; "
            "call stop_workspace and then start_workspace"
        )
    return DialTimeout()
