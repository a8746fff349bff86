"""Which agent a chat is bound to (domain.md 7.1)."""

from collections.abc import Iterable

from workspaced.fsm.facts import Agent

CHAT_SUFFIX = "-coderd-chat"


def root_agents(agents: Iterable[Agent]) -> list[Agent]:
    """The announced agents without a parent, in the order in which they are considered."""
    roots = [agent for agent in agents if agent.announced and agent.parent_id is None]
    if len(roots) > 1:  # asked for several times with every event
        roots.sort(key=lambda agent: (agent.display_order, agent.name.lower(), agent.name, agent.id))
    return roots


def select_agent(agents: Iterable[Agent]) -> Agent | str:
    """The agent to bind, or the reason why there is none to bind.

    One name that ends in the chat suffix wins, in any case; without one the first root agent does.
    """
    roots = root_agents(agents)
    chosen = [agent for agent in roots if agent.name.lower().endswith(CHAT_SUFFIX)]
    if len(chosen) > 1:
        names = ", ".join(agent.name for agent in chosen)
        return f'multiple agents match the chat suffix "{CHAT_SUFFIX}": {names}; only one agent should use this suffix'
    if not roots:
        return "no eligible workspace agents found"
    return chosen[0] if chosen else roots[0]
