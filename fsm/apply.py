"""One input against what is known: the whole core in memory.

First the facts change, then the machine of every chat bound to that workspace runs to rest, then whatever follows a
build that ended is begun and the machines run again. Nothing here waits, reads or writes.
"""

from msgspec.structs import replace

from workspaced.fsm.builds import (
    Wish,
    begin_build,
    end_by_limit,
    follow,
    late_success,
    note_end,
    note_ready,
    watch_pending,
    watch_running,
)
from workspaced.fsm.chat import Cause, Chat
from workspaced.fsm.commands import VERBS
from workspaced.fsm.decide import decide
from workspaced.fsm.effects import ChatDeadline, Due, Effect, JobLimit, SetTimer, WorkspaceExpiry
from workspaced.fsm.errors import Conflict, UndecodableMessage, WorkspacedError
from workspaced.fsm.events import AgentConnected, AgentDisconnected, BuildCreated, ConnectionLost, JobChanged
from workspaced.fsm.facts import Build, Facts
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent
from workspaced.fsm.merge import Merged, merge_build, merge_job
from workspaced.fsm.merge_agent import lose_connection, merge_agent
from workspaced.fsm.plan import Plan
from workspaced.fsm.rows import InputRow
from workspaced.fsm.settle import Moment, settle
from workspaced.fsm.world import Answer, World

Effects = list[Effect]


def apply(world: World, item: Input) -> None:
    """Apply one input. Raises UndecodableMessage when nobody can use it; the world is unchanged then."""
    world.received = item.received
    if _applied_before(world, item):
        return
    match item.payload:
        case Ask() as ask:
            _command(world, item, ask)
        case WorkspaceEvent() as told:
            _event(world, item, told)
        case ConnectionLost() as lost:
            _connection_lost(world, item, lost)
        case ChatDeadline() as due:
            _deadline(world, item, due)
        case WorkspaceExpiry() as due:
            _expiry(world, item, due)
        case JobLimit() as due:
            _limit(world, item, due)
    world.done.add(item.key)


def _applied_before(world: World, item: Input) -> bool:
    """A redelivered input is not decided again: what its rows recorded is said again under the same ids."""
    rows, row = world.applied.get(item.key), world.inputs.get(item.key)
    if item.key in world.done and (row is None or not isinstance(item.payload, Ask)):
        return True  # twice in one batch: all of it will be said anyway
    if rows is None and row is None:
        return False
    for given in rows or ():
        world.said.replayed.append(replace(given, effects=_still_wanted(world, given.effects)))
    if row is not None:
        world.said.effects += _still_wanted(world, row.effects)
        if isinstance(item.payload, Ask):
            _answer(world, item.payload, row, replayed=True)
    return True


def _still_wanted(world: World, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """Effects without the timers that newer ones have replaced; said again, they would replace those in turn."""
    return tuple(effect for effect in effects if not isinstance(effect, SetTimer) or _in_force(world, effect.due))


def _in_force(world: World, due: Due) -> bool:
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


def _command(world: World, item: Input, ask: Ask) -> None:
    command = ask.command
    stored = world.requests.get((command.chat_id, command.request_id))
    if stored is not None and stored.content == ask.content:
        _answer(world, ask, stored, replayed=True)
        return
    row = InputRow(item.key, world.now, command.chat_id, content=ask.content)
    effects: Effects = []
    try:
        if stored is not None:
            raise Conflict
        plan = decide(world, command)
    except WorkspacedError as error:
        row = replace(row, error_status=error.status, error=error.body())
    else:
        effects += plan.effects
        cause = Cause(VERBS[type(command)], item.id, item.at)
        _carry_out(world, item, cause, plan, effects)
        row = replace(row, request_id=command.request_id, outcome=plan.outcome, build_id=plan.build_id)
    row = replace(row, effects=tuple(effects))
    world.put_input(row)
    world.said.effects += effects
    _answer(world, ask, row)


def _answer(world: World, ask: Ask, row: InputRow, *, replayed: bool = False) -> None:
    if ask.reply_to is not None:
        chat = world.chats.get(ask.command.chat_id)
        world.said.answers.append(Answer(ask.reply_to, row, world.snapshot(chat) if chat else None, replayed))


def _carry_out(world: World, item: Input, cause: Cause, plan: Plan, effects: Effects) -> None:
    own = world.facts.get(plan.chat.workspace_id or "")
    for facts in plan.facts:
        if facts.workspace.id == plan.chat.workspace_id:
            own = facts
        else:  # replaced: no other chat is bound to it, and this one leaves it
            world.put_facts(facts)
    if plan.chat.id in world.chats or plan.outcome == "accepted":
        _change(world, item, cause, own, effects, plan)


def _event(world: World, item: Input, told: WorkspaceEvent) -> None:
    facts = world.facts.get(told.workspace_id)
    if facts is None:
        raise UndecodableMessage("unknown_workspace", told.workspace_id)
    match told.event:
        case JobChanged() as event:
            merged, kind = merge_job(facts, event, item.at), f"job.{event.status}"
        case BuildCreated() as event:
            merged, kind = merge_build(facts, event, item.at), "build.created"
            if merged.stale is None and merged.facts.build is not None:
                merged = replace(merged, effects=(*merged.effects, watch_pending(world, merged.facts.build)))
        case event:
            agent_id = told.agent_id or ""
            merged = merge_agent(facts, agent_id, event, item.at, item.received, world.departed)
            kind = "agent.lifecycle"
            if isinstance(event, AgentConnected | AgentDisconnected):
                kind = "agent.connected" if isinstance(event, AgentConnected) else "agent.disconnected"
    _merged(world, item, Cause(kind, item.id, item.at), facts, merged)


def _connection_lost(world: World, item: Input, lost: ConnectionLost) -> None:
    connection = (lost.server_id, lost.client_id)
    cause = Cause("sys.disconnect", item.id, item.at)
    facts = world.facts.get(world.connections.get(connection, ""))
    if facts is not None:
        _merged(world, item, cause, facts, lose_connection(facts, connection, item.at, certain=lost.certain))
    elif lost.certain:
        world.put_departure(connection, item.at)


def _merged(world: World, item: Input, cause: Cause, facts: Facts, merged: Merged) -> None:
    effects = list(merged.effects)
    first = len(world.said.transitions)
    if merged.stale is not None:
        world.put_stale(facts.workspace.id, item, merged.stale)
    else:
        _change(world, item, cause, merged.facts, effects, closed=merged.closed)
    _record(world, item, first, effects)


def _deadline(world: World, item: Input, due: ChatDeadline) -> None:
    """The facts first, then the deadline's version, and only then the event; a stale deadline is ignored."""
    chat = world.chats.get(due.chat_id)
    facts = world.facts_of(chat)
    if chat is None or facts is None:
        return
    moment = Moment(world.now, Cause("deadline", item.id, item.at), world.limits(facts))
    world.put_chat(chat, settle((chat, facts), chat, facts, moment), item)
    chat = world.chats[chat.id]
    if chat.deadline_at is not None and chat.deadline_version == due.version:
        world.put_chat(chat, settle((chat, facts), chat, facts, moment, "expire"), item)


def _expiry(world: World, item: Input, due: WorkspaceExpiry) -> None:
    facts = world.facts.get(due.workspace_id)
    if facts is None or facts.workspace.ttl_at != due.at or facts.workspace.deleted or facts.in_flight:
        return
    first = len(world.said.transitions)
    stopping, begun = begin_build(world, facts, "stop", Wish(facts.workspace.owner_id))
    effects = list(begun)
    _change(world, item, Cause("ttl", item.id, item.at), stopping, effects)
    _record(world, item, first, effects)


def _limit(world: World, item: Input, due: JobLimit) -> None:
    facts = world.facts.get(due.workspace_id)
    planned = end_by_limit(world, facts, due) if facts else None
    if planned is None:
        return
    first = len(world.said.transitions)
    ended, told = planned
    effects = list(told)
    _change(world, item, Cause("limit", item.id, item.at), ended, effects)
    _record(world, item, first, effects)


def _change(
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
    facts = note_end(facts)
    facts, ttl = note_ready(world, facts)
    effects += ttl + watch_running(world, before or Facts(facts.workspace), facts)
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
    if following.workspace.next is None and late_success(facts) and facts.workspace.next is None:
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


def _record(world: World, item: Input, first: int, effects: Effects) -> None:
    """Keep the effects of an event with its last transition, or alone when it moved no chat."""
    if not effects:
        return
    if len(world.said.transitions) > first:
        last = world.said.transitions[-1]
        world.said.transitions[-1] = replace(last, effects=(*last.effects, *effects))
    else:
        world.put_input(InputRow(item.key, world.now, effects=tuple(effects)))
        world.said.effects += effects
