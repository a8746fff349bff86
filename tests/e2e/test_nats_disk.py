"""The disk of NATS is full: it answers nobody until it is started again, and then nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.small_disk import fill, small_disk
from tests.e2e.stack import LIMIT, Stack
from tests.servers import server_with_shared_agent
from workspaced.app.audit import audit
from workspaced.app.embedded_nats import NatsServer


@pytest.fixture
async def disk() -> AsyncIterator[Path]:
    """A small one."""
    with small_disk(32) as disk:
        yield disk


@pytest.fixture
async def nats(disk: Path) -> AsyncIterator[NatsServer]:
    """A server on that disk."""
    async with server_with_shared_agent(disk) as server:
        yield server


@pytest.fixture
def ack_wait() -> timedelta:
    """Short: what the server had sent when it was killed comes again after that."""
    return timedelta(seconds=1)


async def test_disk_full(stack: Stack, nats: NatsServer, disk: Path) -> None:
    """What was committed is held back and said, once there is room and whoever watches NATS has started it again."""
    engine = await stack.engine()
    chats = [str(uuid4()) for _ in range(20)]
    for chat in chats[:2]:
        await stack.ready(chat)
    fill(disk / "ballast")

    asking = [asyncio.create_task(stack.create(chat, request_id="once")) for chat in chats[2:]]
    async with asyncio.timeout(LIMIT):
        while "NATS does not take" not in (await stack.page(engine, "/readyz"))[1]:
            pass
    (disk / "ballast").unlink()
    await nats.kill()
    await nats.start()
    await asyncio.gather(*asking, return_exceptions=True)
    for chat in chats[2:]:
        await stack.create(chat, request_id="once")
    async with asyncio.timeout(LIMIT):
        while (await stack.page(engine, "/readyz"))[0] != 200:
            pass
    await stack.decided()

    jobs = frozenset(row["job"] for row in await stack.sql("select job_id::text as job from workspaced.builds"))
    assert await audit(stack.dsn, stack.admin, taken_jobs=jobs) == []
