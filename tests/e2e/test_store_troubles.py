"""Postgres answers and is of no use: read-only, full, out of connections, slow; each is named, and each heals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.e2e.proxy import dsn_by, proxied, way_in
from tests.e2e.small_disk import fill, small_disk
from tests.e2e.stack import LIMIT, Stack
from tests.servers import fresh_database
from workspaced.app import store_watch
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.app.serve import Server
from workspaced.fsm.errors import Unavailable
from workspaced.store import pool


async def until_page(stack: Stack, engine: Server, wanted: str) -> None:
    """Wait until `/readyz` says so, and nothing else."""
    async with asyncio.timeout(LIMIT):
        while (await stack.page(engine, "/readyz"))[1] != f"{wanted}\n":
            pass


async def has_trouble(stack: Stack, engine: Server, cause: str) -> bool:
    """Whether the metrics say so."""
    return f'workspaced_fault{{cause="{cause}"}} 1.0' in (await stack.page(engine, "/metrics"))[1]


@asynccontextmanager
async def all_else(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """A session of an administrator on another database."""
    connection = await asyncpg.connect(stack.dsn.replace(name_of(stack), "postgres"))
    try:
        yield connection
    finally:
        await connection.close()


def name_of(stack: Stack) -> str:
    """The test's database."""
    return urlsplit(stack.dsn).path.removeprefix("/")


END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'workspaced'"


async def test_read_only(stack: Stack) -> None:
    """Commands are refused, the agent's reports wait; sessions that may not write do not outlive the trouble."""
    engine = await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    async with all_else(stack) as admin:
        await admin.execute(f"alter database {name_of(stack)} set default_transaction_read_only = on")
        await admin.execute(f"{END_SESSIONS} and datname = $1", name_of(stack))
        await stack.provisioner.bring_up(job)
        await until_page(stack, engine, "the store is away: it takes no writes")
        named = await has_trouble(stack, engine, "store_read_only")
        with pytest.raises(Unavailable):
            await stack.create(str(uuid4()))
        await admin.execute(f"alter database {name_of(stack)} reset default_transaction_read_only")

    await stack.pushes.until(chat, "ready")
    await until_page(stack, engine, "ready")

    assert named
    assert not await has_trouble(stack, engine, "store_read_only")


async def test_out_of_connections(stack: Stack) -> None:
    """Others have taken them all: what came meanwhile is done once there is one again."""
    role = f"engine_{uuid4().hex}"
    async with all_else(stack) as admin:
        await admin.execute(f"create role {role} login")
        await admin.execute(f"grant pg_read_all_data, pg_write_all_data to {role}")
        engine = await stack.engine(dsn=stack.dsn.replace("postgres@", f"{role}@"))
        chat = str(uuid4())
        job = await stack.provisioner.job((await stack.create(chat)).build_id)
        await admin.execute(f"alter role {role} connection limit 0")
        await admin.execute(f"{END_SESSIONS} and usename = $1", role)
        await stack.provisioner.bring_up(job)
        await until_page(stack, engine, "the store is away: it has no connection left for us")
        named = await has_trouble(stack, engine, "store_out_of_connections")
        await admin.execute(f"alter role {role} connection limit -1")

        await stack.pushes.until(chat, "ready")
        await until_page(stack, engine, "ready")
        await stack.stop(engine)
        await admin.execute(f"drop role {role}")

    assert named


async def test_disk_full(stack: Stack, postgres: PostgresServer, migrated: str) -> None:
    """Tables cannot grow: what was asked is answered `queued` and done once there is room, with nobody's help."""
    chats = [str(uuid4()) for _ in range(60)]
    with small_disk(24, owner="pgserver") as disk:
        async with all_else(stack) as admin:
            space = f"space_{uuid4().hex}"
            await admin.execute(f"create tablespace {space} location '{disk}'")
            async with fresh_database(postgres, f"{migrated} tablespace {space}") as dsn:
                stack.dsn = dsn
                engine = await stack.engine()
                ballast = disk / "ballast"
                fill(ballast)
                asking = asyncio.gather(*(stack.create(chat) for chat in chats), return_exceptions=True)
                await until_page(stack, engine, "the store is away: its disk is full")
                named = await has_trouble(stack, engine, "store_disk_full")
                ballast.unlink()
                await asking
                await until_page(stack, engine, "ready")
                await stack.decided()
                kept = await stack.sql("select count(*) from workspaced.chats")
                told = [answer for answer in await asking if not isinstance(answer, Unavailable)]
                await stack.stop(engine)
            await admin.execute(f"drop tablespace {space}")

    assert named
    assert kept[0]["count"] == len(told)


async def test_links_that_swallow_everything(
    stack: Stack, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that the links to Postgres are dead: they are noticed, and made anew."""
    monkeypatch.setattr(pool, "STATEMENT_SECONDS", 1)
    monkeypatch.setattr(store_watch, "PATIENCE", timedelta(seconds=0.5))
    async with proxied(way_in(postgres)) as proxy:
        engine = await stack.engine(dsn=dsn_by(proxy, stack.dsn))
        chat = str(uuid4())
        job = await stack.provisioner.job((await stack.create(chat)).build_id)
        proxy.stall()
        before = proxy.accepted
        await stack.provisioner.bring_up(job)
        await stack.pushes.until(chat, "ready")
        await until_page(stack, engine, "ready")
        await stack.stop(engine)

    assert proxy.accepted > before


async def test_a_slow_store(stack: Stack, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too slow to be of use is said; everything goes on at its pace all the same."""
    monkeypatch.setattr(store_watch, "PATIENCE", timedelta(milliseconds=200))
    async with proxied(way_in(postgres)) as proxy:
        engine = await stack.engine(dsn=dsn_by(proxy, stack.dsn))
        chat = str(uuid4())
        job = await stack.provisioner.job((await stack.create(chat)).build_id)
        proxy.delay = 0.3
        await until_page(stack, engine, "the store is away: it does not answer in time")
        await stack.provisioner.bring_up(job)
        proxy.delay = 0.01
        await stack.pushes.until(chat, "ready")
        await until_page(stack, engine, "ready")
        await stack.stop(engine)
