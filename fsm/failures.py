"""Why a chat stopped short, in codes and in words (the table of domain.md 6.4), and what would heal it."""

from datetime import datetime

from workspaced.fsm.chat import Chat, Failure, FailureCode
from workspaced.fsm.durations import format_duration
from workspaced.fsm.facts import QUEUE_TIMEOUT, Agent, Build, Facts, job_status
from workspaced.fsm.machine import Heals
from workspaced.fsm.reach import Reach, reach, selected_agent
from workspaced.fsm.selection import select_agent
from workspaced.fsm.state import State

QUOTA = "INSUFFICIENT_QUOTA"

_HEALS: dict[FailureCode, Heals] = {
    "job_not_taken": Heals.TAKEN,
    "build_timeout": Heals.BUILT,
    "agents_unknown": Heals.AGENTS,
    "agent_not_connected": Heals.LINK,
    "agent_disconnected": Heals.LINK,
    "startup_failed": Heals.RESTART,
    "startup_timeout": Heals.READY,
}


def heals(chat: Chat, agent: Agent | None) -> Heals:
    """What the chat's failure waits for; a restart of the agent also heals scripts that took too long."""
    if chat.failure is None:
        return Heals.NO
    waits_for = _HEALS.get(chat.failure.code, Heals.NO)
    restarted = agent is not None and agent.started_at is not None and was_restarted(chat.agent_started_at, agent)
    return Heals.RESTART if waits_for is Heals.READY and restarted else waits_for


def was_restarted(seen: datetime | None, agent: Agent) -> bool:
    """The agent reported `starting` again since the machine last looked."""
    return seen is not None and agent.started_at is not None and agent.started_at > seen


def timed_out(chat: Chat, facts: Facts) -> Failure:
    """The failure of a waiting chat whose deadline has passed."""
    span = format_duration(chat.deadline_span)
    agent = selected_agent(facts)
    tag = facts.build.provisioner if facts.build else ""
    texts: dict[State, tuple[FailureCode, str]] = {
        State.CREATING: (
            "job_not_taken",
            f'timed out waiting for workspace build: no provisioner "{tag}" took the job within {span}',
        ),
        State.BUILDING: ("build_timeout", f"timed out waiting for workspace build: still running after {span}"),
        State.BINDING: ("agents_unknown", f"the build did not report its agents within {span}"),
        State.CONNECTING: ("agent_not_connected", f"the workspace agent did not connect within {span}"),
        State.STARTING: ("startup_timeout", f"startup scripts did not finish within {span}"),
    }
    code, message = texts[chat.state]
    if chat.state is State.CONNECTING and agent is not None and agent.first_connected_at is not None:
        code, message = "agent_disconnected", f"the workspace agent has been disconnected for {span}"
    return Failure(chat.state, code, message, retryable=True)


def told_anew(failure: Failure, facts: Facts) -> Failure:
    """The failure as it stands now: one that a deadline guessed gives way to the end that came after all."""
    awaited, so_far = _HEALS.get(failure.code), reach(facts)
    job_over = awaited in {Heals.TAKEN, Heals.BUILT} and so_far in {Reach.UNTAKEN, Reach.BROKEN}
    scripts_over = awaited is Heals.READY and so_far is Reach.UNWELL
    return stopped_short(failure.phase, facts) if job_over or scripts_over else failure


def stopped_short(phase: State, facts: Facts) -> Failure:
    """The failure of a chat that the facts let go no further."""
    match reach(facts):
        case Reach.NO_AGENT | Reach.AMBIGUOUS as short:
            code: FailureCode = "no_agent" if short is Reach.NO_AGENT else "selection_error"
            return Failure(phase, code, str(select_agent(facts.agents)), retryable=False)
        case Reach.UNWELL:
            agent = selected_agent(facts)
            lifecycle = agent.lifecycle if agent else ""
            return Failure(phase, "startup_failed", f"startup scripts ended in {lifecycle}", retryable=False)
        case _:
            return _build_over(phase, facts.build)


def _build_over(phase: State, build: Build | None) -> Failure:
    if build is None or job_status(build) == "canceled":
        return Failure(phase, "build_canceled", "build was canceled", retryable=True)
    message = build.error or "build failed"
    if build.error_code == QUOTA:
        return Failure(phase, "insufficient_quota", message, retryable=False, quota=build.quota)
    if build.error_code == QUEUE_TIMEOUT:
        return Failure(phase, "queue_timeout", message, retryable=True)
    return Failure(phase, "build_failed", message, retryable=build.retryable is not False)
