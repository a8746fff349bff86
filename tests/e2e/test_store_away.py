"""Postgres goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.e2e.stack import LIMIT, Stack
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.app.serve import Server
from workspaced.app.server_process import ServerFailed
from workspaced.bus.request import Patience
from workspaced.fsm.errors import Unavailable

IMPATIENT = Patience(timedelta(seconds=LIMIT), attempts=1)


@pytest.fixture
async def fragile(stack: Stack, postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """The stack's Postgres, which runs again after the test."""
    await stack.client.close()
    stack.client = await stack.a_client(IMPATIENT)
    yield postgres
    try:
        _ = postgres.pid
    except ServerFailed:
        await postgres.start()


async def until_ready(stack: Stack, engine: Server) -> None:
    """Wait until `/readyz` is content."""
    async with asyncio.timeout(LIMIT):
        while (await stack.page(engine, "/readyz"))[0] != 200:
            pass


async def test_readyz_names_the_store(stack: Stack, fragile: PostgresServer) -> None:
    """While Postgres is away `/readyz` says so, and it heals."""
    engine = await stack.engine()

    await fragile.kill()
    away = await stack.page(engine, "/readyz")
    await fragile.start()
    await until_ready(stack, engine)

    assert away == (503, "the store is away: it cannot be reached\n")


async def test_a_command_that_found_the_store_away(stack: Stack, fragile: PostgresServer) -> None:
    """It is queued, the next one is refused; later the first is done, once, and the second was never heard of."""
    engine = await stack.engine()
    first, second = str(uuid4()), str(uuid4())

    await fragile.kill()
    queued = await stack.create(first, request_id="one")
    with pytest.raises(Unavailable) as refused:
        await stack.create(second, request_id="two")
    with pytest.raises(Unavailable):
        await stack.client.get(first)
    await fragile.start()
    await stack.pushes.until(first, "creating")
    await until_ready(stack, engine)
    again = await stack.create(first, request_id="one")

    assert (queued.outcome, queued.snapshot) == ("queued", None)
    assert refused.value.code == "unavailable"
    assert (again.outcome, again.replayed) == ("accepted", True)
    assert [row["id"] for row in await stack.sql("select id::text from workspaced.chats")] == [first]
    assert len(await stack.sql("select from workspaced.builds")) == 1
    commands = {kept.subject for kept in await stack.stored("EVENTS") if "ws.cmd" in kept.subject}
    assert commands == {f"ws.cmd.{first}.create"}


async def test_events_wait(stack: Stack, fragile: PostgresServer) -> None:
    """What provisioner and agent tell while Postgres is away counts when it is back."""
    await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)

    await fragile.kill()
    await stack.provisioner.bring_up(job)
    await fragile.start()
    await stack.pushes.until(chat, "ready")

    versions = stack.pushes.versions(chat)
    assert versions == list(range(1, len(versions) + 1))


async def test_an_end_without_the_store(stack: Stack, fragile: PostgresServer) -> None:
    """An engine that holds what it cannot write ends at its drain limit; the next one has it."""
    engine = await stack.engine()
    chat = str(uuid4())

    await fragile.kill()
    queued = await stack.create(chat)
    await stack.stop(engine)
    await fragile.start()
    await stack.engine()
    await stack.pushes.until(chat, "creating")

    assert queued.outcome == "queued"


async def test_bad_bodies_meanwhile(stack: Stack, fragile: PostgresServer) -> None:
    """A bad body is refused as such whatever the store does; a good one is told to try again."""
    engine = await stack.engine()
    await fragile.kill()
    await stack.page(engine, "/readyz")  # from now on the engine knows

    bad = await stack.admin.request("ws.api.create", b"{}", timeout=LIMIT)
    with pytest.raises(Unavailable):
        await stack.create(str(uuid4()))

    assert bad.headers
    assert bad.headers["Nats-Service-Error-Code"] == "400"
