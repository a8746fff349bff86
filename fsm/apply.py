"""One input against what is known: the whole core in memory.

First the facts change, then the machine of every chat bound to that workspace runs to rest, then whatever follows a
build that ended is begun and the machines run again. Nothing here waits, reads or writes.
"""

from msgspec.structs import replace

from workspaced.fsm.builds import watch_pending
from workspaced.fsm.change import Effects, change, record
from workspaced.fsm.chat import Cause
from workspaced.fsm.commands import VERBS
from workspaced.fsm.decide import decide, strangers_refusal
from workspaced.fsm.due import deadline, expiry, limit
from workspaced.fsm.effects import ChatDeadline, JobLimit, QueueTurn, WorkspaceExpiry
from workspaced.fsm.errors import Conflict, UndecodableMessage, WorkspacedError
from workspaced.fsm.events import AgentConnected, AgentDisconnected, BuildCreated, ConnectionLost, JobChanged
from workspaced.fsm.facts import Facts
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent
from workspaced.fsm.merge import Merged, merge_build, merge_job
from workspaced.fsm.merge_agent import lose_connection, merge_agent
from workspaced.fsm.plan import Plan
from workspaced.fsm.queue import turn
from workspaced.fsm.redelivery import answer, applied_before
from workspaced.fsm.rows import InputRow
from workspaced.fsm.world import World


def apply(world: World, item: Input) -> None:
    """Apply one input. Raises UndecodableMessage when nobody can use it; the world is unchanged then."""
    world.received = item.received
    if applied_before(world, item):
        return
    match item.payload:
        case Ask() as ask:
            _command(world, item, ask)
        case WorkspaceEvent() as told:
            _event(world, item, told)
        case ConnectionLost() as lost:
            _connection_lost(world, item, lost)
        case ChatDeadline() as due:
            deadline(world, item, due)
        case WorkspaceExpiry() as due:
            expiry(world, item, due)
        case JobLimit() as due:
            limit(world, item, due)
        case QueueTurn():
            turn(world, item)
    world.done.add(item.key)


def _command(world: World, item: Input, ask: Ask) -> None:
    command = ask.command
    refusal = strangers_refusal(world, command, ask.tenant)
    stored = world.requests.get((command.chat_id, command.request_id)) if refusal is None else None
    if stored is not None and stored.content == ask.content:
        answer(world, ask, stored, replayed=True)
        return
    row = InputRow(item.key, world.now, command.chat_id, content=ask.content)
    effects: Effects = []
    try:
        if refusal is not None:
            raise refusal
        if stored is not None:
            raise Conflict
        plan = decide(world, command, ask.tenant)
    except WorkspacedError as error:
        row = replace(row, error_status=error.status, error=error.body())
    else:
        effects += plan.effects
        cause = Cause(VERBS[type(command)], item.id, item.at)
        _carry_out(world, item, cause, plan, effects)
        row = replace(row, request_id=command.request_id, outcome=plan.outcome, build_id=_awaited(world, plan))
    row = replace(row, effects=tuple(effects))
    world.put_input(row)
    world.said.effects += effects
    answer(world, ask, row)


def _carry_out(world: World, item: Input, cause: Cause, plan: Plan, effects: Effects) -> None:
    own = world.facts.get(plan.chat.workspace_id or "")
    for facts in plan.facts:
        if facts.workspace.id == plan.chat.workspace_id:
            own = facts
        else:  # replaced: no other chat is bound to it, and this one leaves it
            world.put_facts(facts)
    if plan.chat.id in world.chats or plan.outcome == "accepted":
        change(world, item, cause, own, effects, plan)


def _awaited(world: World, plan: Plan) -> str | None:
    """The build to name in the answer: one that ended at once has given way to the build that follows it."""
    facts = world.facts.get(plan.chat.workspace_id or "")
    return facts.build.id if plan.build_id and facts and facts.build else plan.build_id


def _event(world: World, item: Input, told: WorkspaceEvent) -> None:
    facts = world.facts.get(told.workspace_id)
    if facts is None:
        raise UndecodableMessage("unknown_workspace", told.workspace_id)
    if told.provisioner is not None and facts.build is not None and facts.build.provisioner != told.provisioner:
        raise UndecodableMessage("mismatch", f"provisioner: the build is one of {facts.build.provisioner}")
    match told.event:
        case JobChanged() as event:
            merged, kind = merge_job(facts, event, item.at), f"job.{event.status}"
        case BuildCreated() as event:
            merged, kind = merge_build(facts, event, item.at), "build.created"
            if merged.stale is None and merged.facts.build is not None:
                merged = replace(merged, effects=(*merged.effects, watch_pending(world, merged.facts.build)))
        case event:
            agent_id = told.agent_id or ""
            merged = merge_agent(facts, agent_id, event, item.at, item.received, world.links.departed)
            kind = "agent.lifecycle"
            if isinstance(event, AgentConnected | AgentDisconnected):
                kind = "agent.connected" if isinstance(event, AgentConnected) else "agent.disconnected"
    _merged(world, item, Cause(kind, item.id, item.at), facts, merged)


def _connection_lost(world: World, item: Input, lost: ConnectionLost) -> None:
    connection = (lost.server_id, lost.client_id)
    cause = Cause("sys.disconnect", item.id, item.at)
    facts = world.named_by(connection, lost.agent_id)
    if facts is not None:
        merged = lose_connection(facts, connection, item.at, certain=lost.certain, agent_id=lost.agent_id)
        _merged(world, item, cause, facts, merged)
    elif lost.certain:
        world.put_departure(connection, item.at)


def _merged(world: World, item: Input, cause: Cause, facts: Facts, merged: Merged) -> None:
    effects = list(merged.effects)
    first = len(world.said.transitions)
    if merged.stale is not None:
        world.put_stale(facts.workspace.id, item, merged.stale)
    else:
        change(world, item, cause, merged.facts, effects, closed=merged.closed)
    record(world, item, first, effects)
