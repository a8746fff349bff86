"""A workspace in use: `unreachable`, `touch`, and asking for what is there (domain.md 2.5, wire.md section 2)."""

from workspaced.fsm.builds import renew_ttl
from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import Touch, Unreachable
from workspaced.fsm.effects import AskAgents
from workspaced.fsm.facts import Facts
from workspaced.fsm.merge_agent import suspect
from workspaced.fsm.plan import Plan, own_workspace
from workspaced.fsm.state import State
from workspaced.fsm.world import World


def unreachable(world: World, chat: Chat, facts: Facts | None, command: Unreachable) -> Plan:
    """Doubt the bound agent: it has the grace to tell that it is alive."""
    named = (command.workspace_id, command.build_id, command.agent_id)
    agent = facts.agent(chat.agent_id) if facts else None
    if facts is None or agent is None or named != (chat.workspace_id, chat.build_id, chat.agent_id):
        return Plan("conflict", chat)
    if chat.state not in {State.READY, State.STARTING}:
        return Plan("attached", chat)
    ask = AskAgents(facts.workspace.id)
    return Plan("accepted", chat, (suspect(facts, agent, world.received),), effects=(ask,))


def exists(world: World, chat: Chat, facts: Facts) -> Plan:
    """The answer to a create or start of what is there already; whoever asks uses it, so its TTL is set anew."""
    renewed, effects = renew_ttl(world, facts)
    return Plan("exists", chat, (renewed,), effects=effects)


def touch(world: World, chat: Chat, known: Facts | None, _command: Touch) -> Plan:
    """Set the workspace's TTL anew. Raises Conflict without a workspace."""
    facts = own_workspace(known)
    renewed, effects = renew_ttl(world, facts)
    return Plan("accepted" if effects else "exists", chat, (renewed,), effects=effects)
