"""What a command comes to before the machines run: the outcome, changed facts, and how the chat's machine is moved."""

from datetime import datetime

from msgspec import Struct

from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import Outcome
from workspaced.fsm.effects import Effect
from workspaced.fsm.errors import Conflict
from workspaced.fsm.facts import Facts
from workspaced.fsm.settle import Event


class Plan(Struct, frozen=True):
    """The answer to a command and what it begins."""

    outcome: Outcome
    chat: Chat
    """The commanding chat, perhaps bound to another workspace now."""
    facts: tuple[Facts, ...] = ()
    """Workspaces as the command leaves them; those that it does not touch are not listed."""
    build_id: str | None = None
    """The build that was requested or is waited for."""
    event: Event = "observe"
    deadline_at: datetime | None = None
    """Overrides the deadline of the state that `event` leads to."""
    effects: tuple[Effect, ...] = ()


def own_workspace(facts: Facts | None) -> Facts:
    """The chat's live workspace. Raises Conflict (no_workspace, workspace_deleted) in the words of domain.md 2.3."""
    if facts is None:
        raise Conflict("chat has no workspace; use create_workspace first", code="no_workspace")
    if facts.workspace.deleted:
        raise Conflict("workspace was deleted; use create_workspace to make a new one", code="workspace_deleted")
    return facts
