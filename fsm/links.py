"""The connections a batch knows: which agents named them, and which were gone before any did."""

from collections.abc import Iterable
from datetime import datetime

from workspaced.fsm.facts import Agent
from workspaced.fsm.rows import Departure
from workspaced.fsm.values import Connection


class Links:
    """Agents by connection, and departures, as loaded and as the inputs before changed them."""

    def __init__(self, agents: Iterable[Agent], departures: Iterable[Departure]) -> None:
        """From rows as loaded."""
        self.departed: dict[Connection, datetime] = {(gone.server_id, gone.client_id): gone.at for gone in departures}
        self._named: dict[Connection, dict[str, str]] = {}
        """By connection the agents that named it, with their workspaces; of several all but one lie."""
        for agent in agents:
            self.note(agent)

    def note(self, agent: Agent) -> None:
        """Keep which connection the agent named last; those it named before are kept too."""
        if agent.connection is not None:
            self._named.setdefault(agent.connection, {})[agent.id] = agent.workspace_id

    def workspace_of(self, connection: Connection, agent_id: str | None) -> str | None:
        """The workspace of the agent that named `connection`: of `agent_id`, or of any when that is None."""
        agents = self._named.get(connection, {})
        return agents.get(agent_id) if agent_id else next(iter(agents.values()), None)
