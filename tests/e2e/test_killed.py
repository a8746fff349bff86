"""An engine that is killed between any two steps of a batch: nothing lost, nothing doubled, everything said."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.e2e.doom import doomed
from tests.e2e.flow import KINDS, TTL, Flow, everything_is_said
from tests.e2e.stack import Stack
from workspaced.app.moments import AT


@pytest.fixture
def ack_wait() -> timedelta:
    """Short: what the dead engine held comes again after that."""
    return timedelta(seconds=1)


@pytest.mark.parametrize("moment", AT)
async def test_killed(stack: Stack, moment: str) -> None:
    """Whatever the moment and the kind of input, the next engine brings every chat where it belongs."""
    flow = await Flow.about_to_happen(stack)
    async with doomed(stack, moment, "die", len(KINDS)) as process:
        await process.wait()

    await stack.engine(workspace_ttl=TTL)

    await flow.check()


async def test_killed_beside_another(stack: Stack) -> None:
    """Of two engines one is killed while fifty chats are on their way; the other takes over, and all are ready."""
    chats = [str(uuid4()) for _ in range(50)]
    halfway = asyncio.Event()
    done: list[str] = []

    async def go(chat: str) -> None:
        reply = await stack.create(chat, request_id=chat)
        while reply.outcome == "queued":
            reply = await stack.create(chat, request_id=chat)
        await stack.provisioner.bring_up(await stack.provisioner.job(reply.build_id))
        await stack.pushes.until(chat, "ready")
        done.append(chat)
        if len(done) == 10:
            halfway.set()

    async with asyncio.TaskGroup() as group, doomed(stack):
        await stack.engine()
        for chat in chats:
            group.create_task(go(chat))
        await halfway.wait()

    await stack.decided()
    await everything_is_said(stack)
    assert len(await stack.sql("select from workspaced.workspaces")) == len(chats)
