"""Clients end cleanly in the very moment in which their connection breaks."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from nats.aio.transport import TcpTransport

from tests.jobs import SAFETY_NET
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.run_loop import run_service
from workspaced.bus import agent_client
from workspaced.bus.agent_client import AgentClient
from workspaced.bus.connection import open_connection
from workspaced.bus.lasting_client import LastingClient, end


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


async def test_what_is_left_cannot_be_sent(nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is told all the same."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    async def broken(_: TcpTransport) -> None:
        raise ConnectionResetError

    role = nats.roles["engine"]
    connection = await open_connection(nats.url, user="engine", password=role.password, on_closed=closed)
    connection._pending_data_size = 1  # noqa: SLF001  # something waits to be sent
    monkeypatch.setattr(TcpTransport, "drain", broken)
    await connection.close()

    assert connection.is_closed
    assert ended.is_set()


@pytest.mark.parametrize("error", ["authorization violation", "user authentication expired", "slow consumer"])
async def test_a_server_that_ends_a_connection_with_an_error(nats: NatsServer, error: str) -> None:
    """It is no end for good: we connect anew."""
    there = asyncio.Event()

    async def reconnected() -> None:
        there.set()

    role = nats.roles["engine"]
    connection = await open_connection(nats.url, user="engine", password=role.password, on_reconnected=reconnected)
    await connection._ps.parse(f"-ERR '{error}'\r\n".encode())  # noqa: SLF001  # as its reader does
    async with asyncio.timeout(SAFETY_NET):
        await there.wait()
    connected = connection.is_connected
    await connection.close()

    assert connected


async def test_a_server_that_dies_before_it_says_yes(nats: NatsServer) -> None:
    """It was connected to, no more: the next attempt is the one that counts."""
    dying, over = True, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dying
        port = int(nats.url.rpartition(":")[2])
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        if dying:
            dying = False
            writer.write(await from_server.readline())
            for _ in ("CONNECT", "PING"):
                await reader.readline()
            to_server.close()
            writer.close()
        else:
            await asyncio.gather(passed_on(from_server, writer), passed_on(reader, to_server))
            over.set()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = proxy.sockets[0].getsockname()
    connection = await open_connection(
        f"nats://{host}:{port}", user="engine", password=nats.roles["engine"].password, inbox_prefix="_INBOX_engine"
    )
    there = connection.is_connected
    await connection.close()
    await over.wait()
    proxy.close()

    assert there


async def test_a_server_that_asks_before_it_says_yes(nats: NatsServer) -> None:
    """As it does after two seconds, when a login waits for a callout that has much to do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(nats.url.rpartition(":")[2])
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        writer.write(await from_server.readline())
        to_server.write(await reader.readline())
        writer.write(b"PING\r\n")
        to_server.write(await reader.readline())
        try:
            await asyncio.gather(passed_on(from_server, writer), passed_on(reader, to_server))
        finally:
            over.set()

    over = asyncio.Event()
    refused = asyncio.Event()

    async def note(_: Exception) -> None:
        refused.set()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = proxy.sockets[0].getsockname()
    client = LastingClient()
    connecting = asyncio.create_task(
        client.connect(f"nats://{host}:{port}", user="engine", password=nats.roles["engine"].password, error_cb=note)
    )
    trouble = asyncio.create_task(refused.wait())
    await asyncio.wait({connecting, trouble}, return_when=asyncio.FIRST_COMPLETED)
    connected = client.is_connected
    await end(trouble)
    await end(connecting)
    await client.close()
    await over.wait()
    proxy.close()

    assert connected
    assert not refused.is_set()


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes, until its end."""
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
    await writer.wait_closed()


class Forgetful(LastingClient):
    """Its reconnection forgets the first cancel, as `asyncio.wait_for` does when it comes with a result."""

    def __init__(self) -> None:
        super().__init__()
        self.trying, self.told = asyncio.Event(), 0

    async def _select_next_server(self) -> None:
        if not self.is_reconnecting:
            await super()._select_next_server()
            return
        self.trying.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.told += 1
            if self.told > 1:
                raise
            raise OSError("refused") from None


async def test_nothing_tries_to_connect_any_more(nats: NatsServer) -> None:
    """A reconnection that was told to end in the moment in which its server answered."""
    client = Forgetful()
    await client.connect(nats.url, user="engine", password=nats.roles["engine"].password, reconnect_time_wait=0)
    await break_connection(client)
    await client.trying.wait()
    await client.close()

    assert client.is_closed
    assert client.told == 2


async def an_agent(nats: NatsServer) -> AgentClient:
    """Connected; there is no stream, so nothing that it tells is ever stored."""
    role = nats.roles["agent"]
    agent = AgentClient(str(uuid4()), str(uuid4()), str(uuid4()))
    await agent.connect(nats.url, user="agent", password=role.password, inbox_prefix=role.inbox_prefix.encode())
    return agent


async def test_a_farewell(nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that is turned out while it says farewell goes at once: the server has announced its end."""
    monkeypatch.setattr(agent_client, "FAREWELL_LIMIT", None)
    agent = await an_agent(nats)
    ending = asyncio.create_task(agent.close())
    await asyncio.sleep(0)

    await break_connection(agent._nc)  # noqa: SLF001  # as below
    async with asyncio.timeout(SAFETY_NET):
        await ending

    assert agent.connection is None


async def test_a_farewell_that_is_cut_short(nats: NatsServer) -> None:
    """Whoever has no time for it ends it: nothing speaks for the agent any more."""
    agent = await an_agent(nats)
    ending = asyncio.create_task(agent.close())
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait({ending})
    speaking = agent._farewell  # noqa: SLF001  # what must not go on
    assert speaking is not None
    async with asyncio.timeout(SAFETY_NET):
        await asyncio.wait({speaking})
    await agent.close()

    assert speaking.cancelled()


async def test_agent(nats: NatsServer) -> None:
    """An agent's own client."""
    agent = await an_agent(nats)

    await break_connection(agent._nc)  # noqa: SLF001  # nobody else can break it in this moment
    await agent.close()

    assert agent.connection is None
