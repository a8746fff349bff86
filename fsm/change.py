"""Changed facts and what they lead to: all machines run to rest, and what follows a build that ended is begun."""

from msgspec.structs import replace

from workspaced.fsm.builds import follow, leave_queue, note_end, note_ready, watch_running
from workspaced.fsm.chat import Cause, Chat
from workspaced.fsm.effects import Effect
from workspaced.fsm.facts import Build, Facts
from workspaced.fsm.inputs import Input
from workspaced.fsm.plan import Plan
from workspaced.fsm.rows import InputRow
from workspaced.fsm.settle import Moment, settle
from workspaced.fsm.world import World

Effects = list[Effect]


def change(
    world: World,
    item: Input,
    cause: Cause,
    facts: Facts | None,
    effects: Effects,
    plan: Plan | None = None,
    *,
    closed: Build | None = None,
) -> None:
    """Keep changed facts, run all machines over them, and begin what follows a build that ended."""
    if facts is None:
        _run(world, item, cause, None, None, plan)
        return
    before = world.facts.get(facts.workspace.id)
    facts, turn = leave_queue(world, before or facts, facts)
    facts = note_end(facts)
    facts, ttl = note_ready(world, facts)
    effects += turn + ttl + watch_running(world, before or Facts(facts.workspace), facts)
    world.put_facts(facts, closed=closed)
    # A delete that waited for this end shows at once; the end of the build before would look like a failure.
    if facts.workspace.next != "delete" or facts.in_flight:
        _run(world, item, cause, before, facts, plan)
        before, plan = facts, None
    following, begun = follow(world, facts)
    if following is facts:
        return
    effects += begun
    world.put_facts(following)
    if facts.workspace.next is None:
        cause = replace(cause, event="cleanup")
    _run(world, item, cause, before, following, plan)


def _run(world: World, item: Input, cause: Cause, seen: Facts | None, facts: Facts | None, plan: Plan | None) -> None:
    moment = Moment(world.now, cause, world.limits(facts))
    chats = {chat.id: chat for chat in world.chats_of(facts.workspace.id)} if facts else {}
    if plan is not None:
        chats.pop(plan.chat.id, None)
        _move(world, item, plan, seen, facts, moment)
    for chat in chats.values():
        world.put_chat(chat, settle((chat, seen), chat, facts, moment), item)


def _move(world: World, item: Input, plan: Plan, seen: Facts | None, facts: Facts | None, moment: Moment) -> None:
    """The commanding chat: perhaps bound to another workspace, perhaps sent back to what it waited for."""
    before: Chat = world.chats.get(plan.chat.id, plan.chat)
    if before.workspace_id != plan.chat.workspace_id:
        seen = world.facts_of(before)
    steps = settle((before, seen), plan.chat, facts, moment, plan.event)
    if plan.deadline_at is not None and steps:
        steps[-1] = replace(steps[-1], deadline_at=plan.deadline_at)
    world.put_chat(before, steps, item)


def record(world: World, item: Input, first: int, effects: Effects) -> None:
    """Keep the effects of an event with its last transition, or alone when it moved no chat."""
    if not effects:
        return
    if len(world.said.transitions) > first:
        last = world.said.transitions[-1]
        world.said.transitions[-1] = replace(last, effects=(*last.effects, *effects))
    else:
        world.put_input(InputRow(item.key, world.now, effects=tuple(effects)))
        world.said.effects += effects
