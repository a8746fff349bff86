"""The two servers of a folder: started, ended, killed, taken over."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from nats.js.api import StreamConfig

from tests.servers import Connections
from workspaced.app.embedded import Servers, embedded_servers
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.app.server_process import ServerFailed

HOLD = """
import asyncio, json, pathlib, sys
from workspaced.app.embedded import embedded_servers

async def main():
    async with embedded_servers(pathlib.Path(sys.argv[1])) as servers:
        print(json.dumps([servers.nats.pid, servers.postgres.pid]), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def put(servers: Servers, word: str) -> None:
    """Keep `word` in both servers."""
    connections = Connections(servers.nats)
    stream = StreamConfig(name="LOGS", subjects=["ws.log.>"])
    jetstream = (await connections("admin")).jetstream()
    await jetstream.add_stream(stream)
    await jetstream.publish("ws.log.w1.b1", word.encode())
    await connections.close()
    database = await asyncpg.connect(servers.postgres.dsn)
    await database.execute("create table if not exists words (word text)")
    await database.execute("insert into words values ($1)", word)
    await database.close()


async def words(servers: Servers) -> tuple[list[str], list[str]]:
    """What NATS and Postgres kept, oldest first."""
    connections = Connections(servers.nats)
    jetstream = (await connections("admin")).jetstream()
    state = (await jetstream.stream_info("LOGS")).state
    stored = [(await jetstream.get_msg("LOGS", seq)).data or b"" for seq in range(state.first_seq, state.last_seq + 1)]
    await connections.close()
    database = await asyncpg.connect(servers.postgres.dsn)
    rows = await database.fetch("select word from words order by ctid")
    await database.close()
    return [word.decode() for word in stored], [row["word"] for row in rows]


def lives(pid: int) -> bool:
    """Whether there is such a process; one that only waits for init to take note of its end does not count."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout  # noqa: S607  # any ps
    return state.strip()[:1] not in {"", "Z"}


async def test_a_second_start_finds_everything_again(folder: Path) -> None:
    """Data, ports and passwords outlive the servers."""
    async with embedded_servers(folder) as first:
        await put(first, "one")
    async with embedded_servers(folder) as second:
        await put(second, "two")

        assert await words(second) == (["one", "two"], ["one", "two"])
        assert second.nats.url == first.nats.url
        assert second.nats.websocket_url == first.nats.websocket_url
        assert second.nats.roles == first.nats.roles


async def test_no_process_stays(folder: Path) -> None:
    """After the end both servers are gone, not just asked to go."""
    async with embedded_servers(folder) as servers:
        pids = [servers.nats.pid, servers.postgres.pid]

    assert [lives(pid) for pid in pids] == [False, False]


async def test_a_crash_of_both_loses_nothing(folder: Path) -> None:
    """What was acknowledged before a SIGKILL is there after it, on the same ports and socket."""
    async with embedded_servers(folder) as servers:
        await put(servers, "kept")
        url, dsn = servers.nats.url, servers.postgres.dsn
        await servers.nats.kill()
        await servers.postgres.kill()
        await servers.nats.start()
        await servers.postgres.start()

        assert await words(servers) == (["kept"], ["kept"])
        assert (servers.nats.url, servers.postgres.dsn) == (url, dsn)


async def test_a_killed_owner_is_succeeded(folder: Path) -> None:
    """After a SIGKILL of `up` the next one takes the folder over, whatever still runs from it."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", HOLD, folder, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    old_pids = json.loads(await owner.stdout.readline())
    owner.kill()
    await owner.wait()
    async with embedded_servers(folder) as servers:
        await put(servers, "mine")

        assert await words(servers) == (["mine"], ["mine"])
        assert not set(old_pids) & {servers.nats.pid, servers.postgres.pid}
    assert [lives(pid) for pid in old_pids] == [False, False]


async def test_servers_left_running_are_ended(folder: Path) -> None:
    """Where the kernel does not end them with their parent, the next start does; their data stay."""
    left = Servers(NatsServer(folder), PostgresServer(folder))
    await left.nats.start()
    await left.postgres.start()
    await put(left, "before")
    async with embedded_servers(folder) as servers:
        exit_codes = [await left.nats.ended(), await left.postgres.ended()]

        assert await words(servers) == (["before"], ["before"])
    assert exit_codes == [0, 0]


async def test_a_server_that_does_not_listen_is_killed(folder: Path) -> None:
    """A left over server that is stopped in its tracks can't be asked to go; it is ended all the same."""
    left = NatsServer(folder)
    await left.start()
    os.kill(left.pid, signal.SIGSTOP)
    successor = NatsServer(folder)
    successor._process._patience_s = 0.1  # noqa: SLF001  # the real one would make the test slow
    async with successor:
        assert await left.ended() == -signal.SIGKILL


async def test_one_owner_at_a_time(folder: Path) -> None:
    """A second `up` in the same folder is refused, and the first runs on."""
    async with embedded_servers(folder) as servers:
        with pytest.raises(ServerFailed, match="already runs"):
            async with embedded_servers(folder):
                pass

        assert lives(servers.nats.pid)


async def test_a_port_taken_meanwhile_is_left_to_its_taker(folder: Path) -> None:
    """The port of last time is kept only while it is free."""
    async with NatsServer(folder) as first:
        port = int(first.url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)):
        async with NatsServer(folder) as second:
            assert second.url != first.url


async def test_a_port_that_is_asked_for_is_used_or_refused(folder: Path) -> None:
    """Who names a port wants that one."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerFailed, match="address already in use"):
        await NatsServer(folder, port=taken.getsockname()[1]).start()


async def test_a_start_that_is_not_waited_for_leaves_nothing(folder: Path) -> None:
    """Ctrl-C while Postgres makes ready: whoever was started is gone when the error comes out."""
    server = PostgresServer(folder)
    start = asyncio.create_task(server.start())
    await asyncio.sleep(0)  # it runs to where it first waits: for the server to get ready
    pid = server.pid
    start.cancel()
    await asyncio.wait([start])

    assert (start.cancelled(), lives(pid)) == (True, False)


async def test_secrets_are_for_the_owner(folder: Path) -> None:
    """The file is 0600, and no password stands on a command line or in a log."""
    async with NatsServer(folder) as server:
        passwords = json.loads((folder / "secrets.json").read_bytes())
        told = (folder / "logs" / "nats-server.log").read_text()
        if sys.platform == "linux":
            told += Path(f"/proc/{server.pid}/cmdline").read_text()  # noqa: ASYNC240  # a file of the kernel's memory

    assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
    assert set(passwords) == {
        "sys",
        "callout",
        "admin",
        "engine",
        "chatd",
        "provisioner",
        "inspector",
        "callout_seed",
        "agent_key",
    }
    assert [user for user, password in passwords.items() if password in told] == []


@pytest.mark.parametrize("name", ["with space", 'quo"te', "long" * 40])
async def test_any_folder_will_do(folder: Path, name: str) -> None:
    """Names that need quoting, and paths too long for a socket."""
    async with embedded_servers(folder / name) as servers:
        await put(servers, "here")

        assert await words(servers) == (["here"], ["here"])


async def test_a_browser_gets_in(folder: Path) -> None:
    """The websocket port answers an upgrade."""
    async with NatsServer(folder) as server:
        host, port = server.websocket_url.removeprefix("ws://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        upgrade = f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n"
        writer.write(upgrade.encode())
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert b" 101 " in status
