"""How agents' reports and the NATS server's advisories change facts (domain.md 6.2, 6.3; wire.md section 4).

Connections of an agent are ordered, and lifecycle reports are compared within one connection only. A connection that
was reported gone never counts again, whichever report comes first.
"""

from collections.abc import Container
from datetime import datetime, timedelta
from typing import get_args

from msgspec.structs import replace

from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import AgentConnected, AgentDisconnected, AgentEvent
from workspaced.fsm.facts import Agent, Facts
from workspaced.fsm.merge import Merged
from workspaced.fsm.values import Connection, Lifecycle

MOST_UNANNOUNCED = 100
_ORDER: dict[str, int] = {state: rank for rank, state in enumerate(get_args(Lifecycle))}
_SCRIPTS_OVER = ("ready", "start_timeout", "start_error")
_INSTANT = timedelta(microseconds=1)


def merge_agent(
    facts: Facts, agent_id: str, event: AgentEvent, at: datetime, received: datetime, departed: Container[Connection]
) -> Merged:
    """Facts after a report of the agent `agent_id`; `departed` are connections known to be gone.

    Raises UndecodableMessage (too_many_agents) when 100 agents of this workspace wait to be announced.
    """
    build = facts.build
    if build is None or build.transition != "start" or event.build_id not in {None, build.id}:
        return Merged(facts, stale="an older or unknown build")
    agent = facts.agent(agent_id)
    connection = (event.server_id, event.client_id)
    if agent is None:
        if isinstance(event, AgentDisconnected):
            return Merged(facts, stale="nobody named this connection", departed=connection)
        if sum(not known.announced for known in facts.agents) >= MOST_UNANNOUNCED:
            raise UndecodableMessage("too_many_agents", f"{MOST_UNANNOUNCED} agents wait to be announced already")
        agent = Agent(id=agent_id, workspace_id=facts.workspace.id, build_id=build.id, created_at=at)
    if isinstance(event, AgentDisconnected):
        return lose_connection(facts, connection, at)
    if isinstance(event, AgentConnected):
        after = _connected(agent, connection, at, received, departed)
    else:
        after = _lifecycle(agent, connection, event.state, at)
    return Merged(facts, stale=after) if isinstance(after, str) else Merged(with_agent(facts, after))


def with_agent(facts: Facts, agent: Agent) -> Facts:
    """Facts with the agent in place of the one with its id."""
    others = tuple(known for known in facts.agents if known.id != agent.id)
    return replace(facts, agents=(*others, agent))


def lose_connection(facts: Facts, connection: Connection, at: datetime, *, certain: bool = True) -> Merged:
    """Facts after a connection went away; it counts only for the agent whose newest connection it is.

    One that is not `certain` to be gone may be told again by its agent.
    """
    for agent in facts.agents:
        if agent.connection == connection:
            if agent.gone:
                return Merged(facts, stale="this connection was reported gone before")
            return Merged(with_agent(facts, _disconnected(agent, at, gone=certain)))
    return Merged(facts, stale="not the newest connection of an agent", departed=connection)


def suspect(facts: Facts, agent: Agent, at: datetime) -> Facts:
    """Facts after a daemon could not reach the agent: disconnected, until the agent tells `connected` again."""
    return with_agent(facts, _disconnected(agent, at, gone=agent.gone))


def _disconnected(agent: Agent, at: datetime, *, gone: bool) -> Agent:
    # Two clocks: the agent's told when it connected, the server's when it left.
    since = max(at, agent.last_connected_at) if agent.last_connected_at else at
    return replace(agent, disconnected_at=since, gone=gone)


def _connected(
    agent: Agent, connection: Connection, at: datetime, received: datetime, departed: Container[Connection]
) -> Agent | str:
    if connection in departed:
        return "this connection is gone"
    if agent.connection == connection:
        lost = agent.disconnected_at is not None and agent.disconnected_at >= (agent.last_connected_at or at)
        # The stream's clock stamped both the daemon's complaint and this answer to it.
        if agent.gone or not lost or (agent.disconnected_at and received <= agent.disconnected_at):
            return "a repeated connect"
    elif agent.connection and not _newer(connection, at, agent.connection, agent.last_connected_at):
        return "an older connection"
    connected_at = max(at, agent.disconnected_at + _INSTANT) if agent.disconnected_at else at
    return replace(
        agent,
        server_id=connection[0],
        client_id=connection[1],
        gone=False,
        first_connected_at=agent.first_connected_at or connected_at,
        last_connected_at=connected_at,
    )


def _lifecycle(agent: Agent, connection: Connection, state: Lifecycle, at: datetime) -> Agent | str:
    applied, newest = agent.lifecycle_connection, agent.connection
    if newest and connection != newest and not _newer(connection, at, newest, agent.last_connected_at):
        return "a report of an older connection"
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
    if state == "starting":
        return replace(after, started_at=at, ready_at=None)
    if state in _SCRIPTS_OVER:
        return replace(after, started_at=agent.started_at or at, ready_at=at)
    return after


def _newer(connection: Connection, at: datetime, than: Connection, than_at: datetime | None) -> bool:
    """Client ids grow on one server; over two servers the agent's own clock decides."""
    if connection[0] == than[0]:
        return connection[1] > than[1]
    return than_at is None or at > than_at
