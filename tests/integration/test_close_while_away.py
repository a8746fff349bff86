"""Clients end cleanly in the very moment in which their connection breaks."""

import asyncio
from pathlib import Path
from uuid import uuid4

from workspaced.app.embedded_nats import NatsServer
from workspaced.app.run_loop import run_service
from workspaced.bus.agent_client import AgentClient
from workspaced.bus.connection import open_connection


async def break_connection(client: object) -> None:
    """To the point where the library waits for the socket's end; what follows runs before that has come."""
    await client.force_reconnect()  # type: ignore[attr-defined]  # nats-py's, whichever client it is
    await asyncio.sleep(0)


async def test_connection(nats: NatsServer) -> None:
    """That of engines, provisioners and chat clients; who waits for its end hears of it."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    role = nats.roles["engine"]
    connection = await open_connection(nats.url, user="engine", password=role.password, on_closed=closed)

    await break_connection(connection)
    await connection.close()

    assert connection.is_closed
    assert ended.is_set()


def test_a_service(folder: Path) -> None:
    """On uvloop, as programs run, a socket that its server closed fails in another way than asyncio's."""

    async def ends_while_away() -> bool:
        away = asyncio.Event()

        async def disconnected() -> None:
            away.set()

        async with NatsServer(folder) as nats:
            role = nats.roles["engine"]
            connection = await open_connection(
                nats.url, user="engine", password=role.password, disconnected_cb=disconnected
            )
        await away.wait()
        await connection.publish("ws.resync", b"{}")
        await connection.close()
        return bool(connection.is_closed)

    assert run_service(ends_while_away())


async def test_agent(nats: NatsServer) -> None:
    """An agent's own client."""
    role = nats.roles["agent"]
    agent = AgentClient(str(uuid4()), str(uuid4()), str(uuid4()))
    await agent.connect(nats.url, user="agent", password=role.password, inbox_prefix=role.inbox_prefix.encode())

    await break_connection(agent._nc)  # noqa: SLF001  # nobody else can break it in this moment
    await agent.close()

    assert agent.connection is None
