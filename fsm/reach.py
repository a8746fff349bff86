"""How far a workspace has come: its facts as one value, the guard of all moves (domain.md 6 and 7)."""

from enum import IntEnum

from workspaced.fsm.facts import Agent, Facts, job_status
from workspaced.fsm.selection import root_agents, select_agent


class Reach(IntEnum):
    """The furthest state that the facts allow."""

    NONE = 0
    """No start build: no workspace, no build, or the latest one stops or deletes."""
    PENDING = 1
    """The start build's job waits for a provisioner."""
    UNTAKEN = 2
    """The job failed or was canceled before a provisioner took it."""
    RUNNING = 3
    """A provisioner works on the job, or was told to cancel it."""
    BROKEN = 4
    """The job failed or was canceled after a provisioner took it."""
    BUILT = 5
    """The job succeeded without telling its agents."""
    NO_AGENT = 6
    """It told them, and there is no root agent."""
    AMBIGUOUS = 7
    """It told them, and two or more match."""
    AWAY = 8
    """The selected agent is not connected."""
    STARTING = 9
    """It is connected and its startup scripts run."""
    UNWELL = 10
    """It is connected and its lifecycle is past `starting`, but not `ready`."""
    READY = 11
    """It is connected and ready."""


def reach(facts: Facts | None) -> Reach:
    """How far the workspace has come; time plays no part in it."""
    if facts is None or facts.build is None or facts.workspace.deleted or facts.build.transition != "start":
        return Reach.NONE
    match job_status(facts.build):
        case "pending":
            return Reach.PENDING
        case "running" | "canceling":
            return Reach.RUNNING
        case "failed" | "canceled":
            return Reach.BROKEN if facts.build.started_at else Reach.UNTAKEN
        case _:
            return _agents(facts) if facts.build.agents_told else Reach.BUILT


def selected_agent(facts: Facts) -> Agent | None:
    """The agent to bind to, None when there is none or more than one."""
    chosen = select_agent(facts.agents)
    return None if isinstance(chosen, str) else chosen


def _agents(facts: Facts) -> Reach:
    agent = selected_agent(facts)
    if agent is None:
        return Reach.AMBIGUOUS if root_agents(facts.agents) else Reach.NO_AGENT
    if not agent.connected:
        return Reach.AWAY
    if agent.lifecycle in {"created", "starting"}:
        return Reach.STARTING
    return Reach.READY if agent.lifecycle == "ready" else Reach.UNWELL
