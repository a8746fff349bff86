"""How a chat's moves are told in words: one line a move, one line for where it stands now."""

from datetime import datetime, timedelta
from typing import Final

from workspaced.app.render import span_in_words
from workspaced.fsm.snapshot import Snapshot, WaitingFor
from workspaced.fsm.state import State

CLOCK: Final = 9
STATES: Final = max(map(len, State)) * 2 + len(" -> ")
CAUSE: Final = len("agent.disconnected")
"""Widths of the columns."""

_WAITS_FOR: Final[dict[WaitingFor, str]] = {
    "queue": "its turn",
    "provisioner": "a provisioner",
    "build": "the build",
    "agents": "the build's agents",
    "agent": "the agent",
    "startup_scripts": "the startup scripts",
    "stop": "the stop",
    "delete": "the delete",
}


def at_rest(snapshot: Snapshot) -> bool:
    """Nothing is on its way, neither a build nor an agent, nor a build that is to follow."""
    workspace = snapshot.workspace
    if workspace is not None and workspace.next is not None:
        return False
    return snapshot.state in {State.READY, State.FAILED} or (
        snapshot.state is State.IDLE and snapshot.waiting_for is None
    )


def move_line(before: State, after: Snapshot, since: timedelta, took: timedelta | None) -> str:
    """One move: when, from where to where, why, and what is to be known of it now.

    `since` is counted from whatever began the story; `took` is how long `before` lasted.
    """
    states = f"{before} -> {after.state}"
    cause = after.cause.event if after.cause else ""
    clock = f"{span_in_words(since):>{CLOCK}}"
    lasted = f" ({before} took {span_in_words(took)})" if took is not None and before is not after.state else ""
    return f"{clock}  {states:<{STATES}}  {cause:<{CAUSE}}  {note(after)}{lasted}".rstrip()


def note(snapshot: Snapshot) -> str:
    """What a person wants to know besides the state."""
    workspace, agent = snapshot.workspace, snapshot.agent
    name = agent.name if agent else "?"
    match snapshot.state:
        case State.FAILED if snapshot.failure:
            return f"{snapshot.failure.message} ({snapshot.failure.code})"
        case State.READY:
            return f"agent {name}"
        case State.CREATING if snapshot.queue:
            return f"number {snapshot.queue.place} in the queue; the {snapshot.queue.of} may have {_builds(snapshot)}"
        case State.CONNECTING if agent and agent.link == "disconnected":
            return f"agent {name} is away"
        case State.CONNECTING | State.STARTING:
            return f"waits for {_WAITS_FOR[snapshot.waiting_for]}" if snapshot.waiting_for else ""
    if workspace is None:
        return "no workspace"
    if workspace.deleted:
        return "deleted"
    return _build_note(snapshot)


def _builds(snapshot: Snapshot) -> str:
    limit = snapshot.queue.limit if snapshot.queue else 0
    return "one build at once" if limit == 1 else f"{limit} builds at once"


def _build_note(snapshot: Snapshot) -> str:
    workspace = snapshot.workspace
    if workspace is None or workspace.transition is None:
        return "no build yet"
    if snapshot.state is State.IDLE and (workspace.transition, workspace.job_status) == ("stop", "succeeded"):
        return "stopped"
    error = f": {workspace.job_error}" if workspace.job_error else ""
    after = f", then {workspace.next}" if workspace.next else ""
    return f"{workspace.transition} build {workspace.build_number} {workspace.job_status}{error}{after}"


def status_line(snapshot: Snapshot, now: datetime) -> str:
    """Where the chat stands: state, for how long, what it waits for, until when, how long that usually takes."""
    parts = [f"{snapshot.state} for {span_in_words(now - snapshot.entered_at)}"]
    if snapshot.waiting_for:
        parts.append(f"waits for {_WAITS_FOR[snapshot.waiting_for]}")
    if snapshot.deadline_at:
        left = snapshot.deadline_at - now
        parts.append(f"{span_in_words(left)} left" if left > timedelta(0) else "its deadline has passed")
    if snapshot.typical:
        usual, slow = (timedelta(milliseconds=ms) for ms in (snapshot.typical.p50_ms, snapshot.typical.p95_ms))
        parts.append(f"typically {span_in_words(usual)}, at most {span_in_words(slow)}")
    return ", ".join(parts)
