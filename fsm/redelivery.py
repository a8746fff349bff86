"""Inputs that were applied before: what their rows recorded is said again under the same ids."""

from msgspec.structs import replace

from workspaced.fsm.effects import ChatDeadline, Effect, LinkLost, QueueTurn, SetTimer, Timed, WorkspaceExpiry
from workspaced.fsm.inputs import Ask, Input
from workspaced.fsm.rows import InputRow
from workspaced.fsm.world import Answer, World


def applied_before(world: World, item: Input) -> bool:
    """Whether the input was applied before; then it is not decided again, but what it said is said again."""
    rows, row = world.applied.get(item.key), world.inputs.get(item.key)
    if item.key in world.done and (row is None or not isinstance(item.payload, Ask)):
        return True  # twice in one batch: all of it will be said anyway
    if rows is None and row is None:
        return False
    for given in rows or ():
        world.said.replayed.append(replace(given, effects=_still_wanted(world, given.effects)))
        if facts := world.facts.get(given.workspace_id or ""):  # the chat may have left it, and not be loaded
            world.said.organizations.setdefault(given.chat_id, facts.workspace.organization_id)
    if row is not None:
        world.said.effects += _still_wanted(world, row.effects)
        if isinstance(item.payload, Ask):
            answer(world, item.payload, row, replayed=True)
    return True


def _still_wanted(world: World, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """Effects without the timers that newer ones have replaced; said again, they would replace those in turn."""
    return tuple(effect for effect in effects if not isinstance(effect, SetTimer) or _in_force(world, effect.due))


def _in_force(world: World, due: Timed) -> bool:
    if isinstance(due, LinkLost):
        return False
    if isinstance(due, QueueTurn):
        return True
    if isinstance(due, ChatDeadline):
        chat = world.chats.get(due.chat_id)
        return chat is not None and chat.deadline_version == due.version
    facts = world.facts.get(due.workspace_id)
    if facts is None:
        return False
    if isinstance(due, WorkspaceExpiry):
        return facts.workspace.ttl_at == due.at
    build = facts.build
    return build is not None and build.job_id == due.job_id and (due.status == "pending") == (build.started_at is None)


def answer(world: World, ask: Ask, row: InputRow, *, replayed: bool = False) -> None:
    """Answer a command, unless nobody waits for it."""
    if ask.reply_to is not None:
        chat = world.chats.get(ask.command.chat_id)
        world.said.answers.append(Answer(ask.reply_to, row, world.snapshot(chat) if chat else None, replayed))
