"""What Postgres does about a client that it does not reach: its locks must not keep the others waiting."""

import asyncio
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Final

import asyncpg
import pytest

from tests.apart import printed_apart
from workspaced.app.embedded_nats import HOST, free_port
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.store import pool

LOCK: Final = "select pg_advisory_xact_lock(1)"
MORE_THAN_FITS: Final = "select repeat('x', 100000000)"
SOON: Final = {"tcp_user_timeout": "1s", "tcp_keepalives_idle": "1s", "tcp_keepalives_interval": "1s"}

CUT_OFF: Final = """
import asyncio, subprocess, sys
from pathlib import Path

CLIENT = '''
import asyncio, sys
from workspaced.store import pool

async def prepare():
    pool.SESSION = {{**pool.SESSION, **{soon}}}
    connection = await pool.connect(sys.argv[1])
    await connection.execute("begin")
    await connection.execute("{lock}")
    await connection.prepare("select 1")
    print("prepared", flush=True)
    await asyncio.Event().wait()

asyncio.run(prepare())
'''


async def cut_off():
    from workspaced.store import pool

    servers = reachable(Path(sys.argv[1]))
    place = Apart(servers, 0)
    await place.open()
    async with servers.postgres:
        client = await asyncio.create_subprocess_exec(
            *place.entry, sys.executable, "-c", CLIENT, place.dsn, stdout=subprocess.PIPE
        )
        print((await client.stdout.readline()).decode().strip())
        other = await pool.connect(servers.postgres.dsn)
        async with place.cut("postgres"):
            await other.execute("{lock}")
            print("locked")
        await other.close()
        client.kill()
        await client.wait()
    await place.close()


asyncio.run(cut_off())
"""


def test_what_engines_ask_for() -> None:
    """Ten seconds, as for a transaction that stands still."""
    assert {name: pool.SESSION[name] for name in SOON} == {
        "tcp_user_timeout": "10s",
        "tcp_keepalives_idle": "10s",
        "tcp_keepalives_interval": "5s",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="Postgres can set no tcp_user_timeout here")
async def test_a_client_that_takes_no_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres is in the midst of answering it."""
    monkeypatch.setattr(pool, "SESSION", MappingProxyType({**pool.SESSION, **SOON}))
    port = free_port()
    dsn = f"postgresql://postgres@{HOST}:{port}/postgres"

    async with PostgresServer(folder, arguments=("-h", HOST, "-p", str(port))):
        lost, other = await pool.connect(dsn), await pool.connect(dsn)
        await lost.execute("begin")
        await lost.execute(LOCK)
        answer = asyncio.create_task(lost.execute(MORE_THAN_FITS))
        await asyncio.sleep(0)  # it is asked
        lost._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - no other way to take no more

        await other.execute(LOCK)  # for ever, if nobody ends that session
        await other.close()

        lost._transport.resume_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - the same
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await answer


@pytest.mark.timeout(60)
def test_a_client_that_is_cut_off_in_the_midst_of_a_statement(folder: Path) -> None:
    """It had one prepared and does not come to execute it; to Postgres it is not idle."""
    assert printed_apart(CUT_OFF.format(lock=LOCK, soon=SOON), folder) == ["prepared", "locked"]
