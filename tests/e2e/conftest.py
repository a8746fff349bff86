"""The stack of one test: fresh streams and a copy of a migrated database on the worker's two servers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.e2e.node import node
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from tests.e2e.tool_user import ToolUser, a_client
from tests.servers import Connections, fresh_database
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.fsm.template import Template
from workspaced.store.migrations import migrate
from workspaced.store.postgres import PostgresStore

MIGRATED = "migrated"

__all__ = ("node",)


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The name of a database with the schema and one template, to be copied."""
    asyncio.run(make_migrated(postgres))
    return MIGRATED


async def make_migrated(postgres: PostgresServer) -> None:
    """The database that is copied, on `postgres`."""
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute(f"create database {MIGRATED}")
    await admin.close()
    dsn = postgres.dsn_of(MIGRATED)
    await migrate(dsn)
    store = PostgresStore(dsn)
    await store.open()
    version = str(uuid4())
    await store.put_template(
        Template(id=TEMPLATE, organization_id=ORGANIZATION, name="plain", active_version_id=version), version
    )
    await store.close()


@pytest.fixture
def ack_wait() -> timedelta:
    """After how long another engine gets what a dead one held; a test of crashes has its own."""
    return timedelta(seconds=30)


@pytest.fixture
async def database(postgres: PostgresServer, migrated: str) -> AsyncIterator[str]:
    """The DSN of a migrated database of this test alone."""
    async with fresh_database(postgres, migrated) as dsn:
        yield dsn


@pytest.fixture
async def stack(nats: NatsServer, connect: Connections, database: str, ack_wait: timedelta) -> AsyncIterator[Stack]:
    """Everything but an engine."""
    stack = Stack(nats, connect, database)
    await stack.open(ack_wait)
    yield stack
    await stack.close()


@pytest.fixture
async def user(stack: Stack) -> AsyncIterator[ToolUser]:
    """A chat whose model calls tools; the test starts the engine."""
    async with a_client(stack) as client:
        yield ToolUser(stack, client)
