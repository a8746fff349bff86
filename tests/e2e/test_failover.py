"""The Postgres that takes writes dies, and its standby takes over."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.conftest import MIGRATED, make_migrated
from tests.e2e.stack import LIMIT, Stack
from tests.e2e.standby import promote, sockets, start_standby
from tests.servers import Connections
from workspaced.app.audit import audit
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer


@pytest.fixture
async def primary(folder: Path) -> AsyncIterator[PostgresServer]:
    """With the schema, and for this test alone."""
    (folder / "primary").mkdir(mode=0o711)
    async with PostgresServer(folder / "primary") as server:
        await make_migrated(server)
        yield server


@pytest.fixture
async def standby(primary: PostgresServer, folder: Path) -> AsyncIterator[PostgresServer]:
    """Follows the primary."""
    (folder / "standby").mkdir(mode=0o711)
    server = await start_standby(primary, folder / "standby")
    yield server
    await server.stop()


@pytest.fixture
async def stack(
    nats: NatsServer, connect: Connections, primary: PostgresServer, standby: PostgresServer
) -> AsyncIterator[Stack]:
    """It knows both hosts, and wants the one that takes writes."""
    hosts = f"{sockets(standby)},{sockets(primary)}"
    dsn = f"postgresql://postgres@/{MIGRATED}?host={hosts}&target_session_attrs=read-write"
    stack = Stack(nats, connect, dsn)
    await stack.open(timedelta(seconds=30))
    yield stack
    await stack.close()


async def test_failover(stack: Stack, primary: PostgresServer, standby: PostgresServer) -> None:
    """Until the standby takes over commands are refused and reports wait; then all goes on where it was."""
    engine = await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)

    await primary.kill()
    await stack.provisioner.bring_up(job)
    between = await stack.page(engine, "/readyz")
    await promote(standby)
    await stack.pushes.until(chat, "ready")
    await stack.decided()
    async with asyncio.timeout(LIMIT):
        while (await stack.page(engine, "/readyz"))[0] != 200:
            pass

    assert between[1].startswith("the store is away: ")
    assert await audit(stack.dsn, stack.admin, taken_jobs=frozenset({job["job_id"]})) == []
