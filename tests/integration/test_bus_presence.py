"""Who is connected, asked with an engine's permissions."""

from datetime import timedelta

from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus.presence import Presence, ask_presence
from workspaced.fsm.values import Connection

QUIET = timedelta(seconds=0.05)


async def its_connection(connect: Connections) -> Connection:
    """An agent's, as the agent tells it."""
    agent = await connect("agent")
    info = agent._server_info  # noqa: SLF001  # nothing public tells both
    return info["server_id"], info["client_id"]


async def test_presence(connect: Connections) -> None:
    """A connected agent is there."""
    agent, engine = await its_connection(connect), await connect("engine")
    presence = await ask_presence(engine, QUIET)

    assert not presence.gone(agent)
    assert presence.servers == {agent[0]}


async def test_a_dead_server_takes_its_connections_along(connect: Connections, nats: NatsServer) -> None:
    """The server that came back has another id; nothing of the former one counts."""
    before = await its_connection(connect)
    await nats.kill()
    await nats.start()
    presence = await ask_presence(await connect("engine"), QUIET)

    assert presence.gone(before)
    assert before[0] not in presence.servers


async def test_many_connections(connect: Connections) -> None:
    """More than one page of the server's answer."""
    agents = {await its_connection(connect) for _ in range(1100)}
    presence = await ask_presence(await connect("engine"), QUIET)

    assert agents <= presence.connections


def test_unknown_servers_are_gone() -> None:
    """What nobody lists is over."""
    assert Presence(frozenset(), frozenset()).gone(("SERVER", 1))
