"""How agents' reports and the NATS server's advisories change facts (domain.md 6.2, 6.3; wire.md section 4).

Theory. An agent has one connection after another, and they are ordered; so have its lifecycle reports. Facts keep the
newest connection that was named, since when it is there and since when it is gone, and of the lifecycle reports the
furthest one. Both are maxima, the two times are minima: whatever the order in which reports arrive, and however often,
the same is left. A connection that was reported gone never counts again, whichever report comes first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from msgspec.structs import replace

from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import AgentConnected, AgentDisconnected, AgentEvent
from workspaced.fsm.facts import Agent, Build, Facts
from workspaced.fsm.merge import Merged
from workspaced.fsm.values import Connection, Lifecycle

MOST_UNANNOUNCED = 100
_ORDER: dict[str, int] = {state: rank for rank, state in enumerate(get_args(Lifecycle))}
_SCRIPTS_OVER = ("ready", "start_timeout", "start_error")


def merge_agent(
    facts: Facts,
    agent_id: str,
    event: AgentEvent,
    at: datetime,
    received: datetime,
    departed: Mapping[Connection, datetime],
) -> Merged:
    """Facts after a report of the agent `agent_id`; `departed` says which connections are gone, and since when.

    Raises UndecodableMessage (too_many_agents) when 100 agents of this workspace wait to be announced.
    """
    build = facts.build
    if build is None or build.transition != "start" or event.build_id not in {None, build.id}:
        return Merged(facts, stale="an older or unknown build")
    agent = facts.agent(agent_id) or _unannounced(facts, build, agent_id, at)
    connection = (event.server_id, event.client_id)
    if isinstance(event, AgentConnected):
        after = _connected(agent, connection, at, received, departed.get(connection))
    elif isinstance(event, AgentDisconnected):
        after = _closed(agent, connection, at)
    else:
        after = _lifecycle(agent, connection, event.state, at)
    return Merged(facts, stale=after) if isinstance(after, str) else Merged(with_agent(facts, after))


def _unannounced(facts: Facts, build: Build, agent_id: str, at: datetime) -> Agent:
    if sum(not known.announced for known in facts.agents) >= MOST_UNANNOUNCED:
        raise UndecodableMessage("too_many_agents", f"{MOST_UNANNOUNCED} agents wait to be announced already")
    return Agent(id=agent_id, workspace_id=facts.workspace.id, build_id=build.id, created_at=at)


def with_agent(facts: Facts, agent: Agent) -> Facts:
    """Facts with the agent in place of the one with its id, or after the others."""
    agents = tuple(agent if known.id == agent.id else known for known in facts.agents)
    return Facts(facts.workspace, facts.build, agents if agent in agents else (*agents, agent))


def lose_connection(
    facts: Facts, connection: Connection, at: datetime, *, certain: bool = True, agent_id: str | None = None
) -> Merged:
    """Facts after the server told that a connection is gone; it counts for agents whose newest connection it is.

    One that is not `certain` to be gone may be told again by its agent. With `agent_id` it counts for that one alone.
    """
    lost, stale = facts, "not the newest connection of an agent"
    for agent in facts.agents:
        if agent.connection == connection and agent_id in {None, agent.id}:
            after = _gone(agent, at) if certain else _doubted(agent, at)
            if isinstance(after, str):
                stale = after
            else:
                lost = with_agent(lost, after)
    return Merged(facts, stale=stale) if lost is facts else Merged(lost)


def suspect(facts: Facts, agent: Agent, at: datetime) -> Facts:
    """Facts after a daemon could not reach the agent: disconnected, until the agent tells `connected` again."""
    after = _doubted(agent, at)
    return facts if isinstance(after, str) else with_agent(facts, after)


def _doubted(agent: Agent, at: datetime) -> Agent | str:
    return "disconnected already" if agent.disconnected_at else replace(agent, disconnected_at=at)


def _gone(agent: Agent, at: datetime) -> Agent | str:
    since = agent.disconnected_at
    if agent.gone and since is not None and at >= since:
        return "this connection was reported gone before"
    return replace(agent, gone=True, disconnected_at=at if since is None else min(at, since))


def _connected(
    agent: Agent, connection: Connection, at: datetime, received: datetime, gone_at: datetime | None
) -> Agent | str:
    if agent.connection == connection:
        doubted_at = None if agent.gone else agent.disconnected_at
        # The stream's clock stamped both the doubt and this answer to it; what it stored before does not answer.
        if doubted_at is not None and received > doubted_at:
            return replace(agent, disconnected_at=None)
        if agent.last_connected_at is not None and at < agent.last_connected_at:
            return replace(agent, last_connected_at=at)
        return "a repeated connect"
    if agent.connection and not _newer(connection, at, agent.connection, agent.last_connected_at):
        return "an older connection"
    return _on(agent, connection, at, gone_at)


def _closed(agent: Agent, connection: Connection, at: datetime) -> Agent | str:
    if agent.connection == connection:
        return _gone(agent, at)
    if agent.connection and not _newer(connection, at, agent.connection, agent.last_connected_at):
        return "an older connection"
    return _on(agent, connection, at, at)  # its `connected` is still to come


def _on(agent: Agent, connection: Connection, at: datetime, gone_at: datetime | None) -> Agent:
    return replace(
        agent,
        server_id=connection[0],
        client_id=connection[1],
        first_connected_at=agent.first_connected_at or at,
        last_connected_at=at,
        gone=gone_at is not None,
        disconnected_at=gone_at,
    )


def _lifecycle(agent: Agent, connection: Connection, state: Lifecycle, at: datetime) -> Agent | str:
    applied = agent.lifecycle_connection
    if applied == connection:
        if agent.lifecycle_at and (at, _ORDER[state]) <= (agent.lifecycle_at, _ORDER[agent.lifecycle]):
            return "a repeated or older lifecycle report"
    elif applied and not _newer(connection, at, applied, agent.lifecycle_at):
        return "a report of an older connection"
    after = replace(
        agent,
        lifecycle=state,
        lifecycle_at=at,
        lifecycle_server_id=connection[0],
        lifecycle_client_id=connection[1],
    )
    if applied == connection and state == agent.lifecycle:
        return after  # told again; a process that starts anew has a new connection
    if state == "starting":
        return replace(after, started_at=at, ready_at=None)
    if state in _SCRIPTS_OVER:
        return replace(after, started_at=agent.started_at or at, ready_at=at)
    return after


def _newer(connection: Connection, at: datetime, than: Connection, than_at: datetime | None) -> bool:
    """Client ids grow on one server; over two servers the agent's own clock decides."""
    if connection[0] == than[0]:
        return connection[1] > than[1]
    return than_at is None or (at, connection[0]) > (than_at, than[0])
