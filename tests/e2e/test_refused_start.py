"""What is wrong around an engine is said at its start, in one line that tells what to do."""

import asyncio
import json
import re
import shutil
import socket
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.e2e.stack import Stack
from workspaced.app.config import ServeConfig
from workspaced.app.serve import Server
from workspaced.bus.connection import open_connection
from workspaced.fsm.errors import WorkspacedError

NEEDS_LATER_ENGINES = """
with later as (insert into workspaced.migrations values (9999, 'later', 'x'))
insert into workspaced.marks (name, text) values ('engines_since', '9999')
"""


async def refused(config: ServeConfig) -> str:
    """The line with which an engine refuses to start."""
    with pytest.raises(WorkspacedError) as fault:
        await Server(config).start()
    line = str(fault.value)
    assert "\n" not in line
    return line


async def test_no_database(stack: Stack) -> None:
    """A database that nobody serves, and one that its server does not have."""
    away = await refused(replace(stack.config(), database_url="postgresql://postgres:secret@127.0.0.1:1/x"))
    unknown = await refused(replace(stack.config(), database_url=re.sub(r"/test_\w+", "/nowhere", stack.dsn)))

    assert away.startswith("cannot reach the database: ")
    assert "secret" not in away
    assert unknown == 'cannot reach the database: database "nowhere" does not exist'


async def test_no_schema(stack: Stack) -> None:
    """A database that was never migrated."""
    await stack.sql("drop schema workspaced cascade")

    assert await refused(stack.config()) == "the database has no workspaced schema; run `workspaced migrate`"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("delete from workspaced.migrations", r"is behind by \d+ \(schema is next\); run `workspaced migrate`"),
        (NEEDS_LATER_ENGINES, "9999, newer than this version"),
        ("update workspaced.migrations set sha256 = 'x'", r"\(schema\) was edited after this database had applied it"),
    ],
    ids=["behind", "newer", "edited"],
)
async def test_another_schema(stack: Stack, change: str, expected: str) -> None:
    """A schema that is not the one this version works with."""
    await stack.sql(change)

    assert re.search(expected, await refused(stack.config()))


async def test_no_nats(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens; and a password that is wrong."""
    assert open_connection.__kwdefaults__
    monkeypatch.setitem(open_connection.__kwdefaults__, "limit", timedelta(seconds=1))  # of ten that an engine tries

    away = await refused(replace(stack.config(), nats_url="nats://u:secret@127.0.0.1:1"))
    wrong = await refused(replace(stack.config(), password="wrong"))  # noqa: S106  # nobody's

    assert away.startswith("NATS at 127.0.0.1:1 does not answer: ")
    assert "secret" not in away
    assert re.fullmatch("NATS at .* refuses user 'engine'; check name and password", wrong)


async def test_no_streams(stack: Stack) -> None:
    """A stream, or an engine's consumer, that was not made."""
    await stack.admin.jetstream().delete_consumer("TIMERS", "engine")
    consumer = await refused(stack.config())
    await stack.admin.jetstream().delete_stream("JOBS")
    stream = await refused(stack.config())

    assert consumer == "NATS has no consumer engine of stream TIMERS; run `workspaced migrate`"
    assert stream == "NATS has no stream JOBS; run `workspaced migrate`"


async def test_a_port_that_is_taken(stack: Stack) -> None:
    """Somebody else listens on the health port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await refused(replace(stack.config(), http_port=port))

    assert line.startswith(f"cannot listen on port {port}: ")
    assert line.endswith("choose another --http-port")


@asynccontextmanager
async def plain_nats() -> AsyncIterator[str]:
    """The URL of a NATS server without JetStream."""
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert program
    process = await asyncio.create_subprocess_exec(
        program, "-a", "127.0.0.1", "-p", "-1", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    try:
        address = None
        async for line in process.stderr:
            address = re.search(rb"Listening for client connections on (\S+)", line) or address
            if b"Server is ready" in line:
                break
        assert address
        yield f"nats://{address[1].decode()}"
    finally:
        process.terminate()
        await process.communicate()


async def test_no_jetstream(stack: Stack) -> None:
    """A NATS server that keeps nothing."""
    async with plain_nats() as url:
        line = await refused(replace(stack.config(), nats_url=url, user=None, password=None))

    assert line == "this NATS server has no JetStream for this account; start it with jetstream enabled"


async def speak_of_old_times(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much of a NATS server as it takes to be connected to."""
    info = {"server_id": "A", "version": "2.11.9", "proto": 1, "max_payload": 1048576, "headers": True, "client_id": 1}
    writer.write(f"INFO {json.dumps(info)}\r\n".encode())
    async for line in reader:
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")
    writer.close()


async def test_an_older_nats(stack: Stack) -> None:
    """A server from before scheduled messages."""
    async with await asyncio.start_server(speak_of_old_times, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        line = await refused(replace(stack.config(), nats_url=f"nats://127.0.0.1:{port}", user=None, password=None))

    assert line == "NATS server 2.11.9 is too old; 2.12 or newer is needed"
