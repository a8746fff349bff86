"""An engine that is killed between any two steps of a batch: nothing lost, nothing doubled, everything said."""

import asyncio
import json
import os
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.e2e.doom import doomed
from tests.e2e.flow import KINDS, TTL, Flow, everything_is_said
from tests.e2e.stack import LIMIT, Stack
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


async def test_what_it_held_is_delivered_to_the_other(stack: Stack, ack_wait: timedelta) -> None:
    """Only the consumer's `ack_wait` lies between: NATS counts a second delivery, and the engine that lives has it."""
    stream_api = stack.admin.jetstream()
    consumer = (await stream_api.consumer_info("EVENTS", "engine")).config
    await stream_api.add_consumer("EVENTS", consumer.evolve(sample_freq="100"))
    samples = await stack.admin.subscribe("$JS.EVENT.METRIC.CONSUMER.ACK.EVENTS.engine")
    chat = str(uuid4())
    async with doomed(stack, "before_lock", "stall") as process:
        await stack.put_command("create", stack.a_create(chat))
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        await stack.engine()
    await stack.pushes.until(chat, "creating")

    (command,) = [kept.sequence for kept in await stack.stored("EVENTS") if kept.subject.startswith("ws.cmd.")]
    while (sample := json.loads((await samples.next_msg(LIMIT)).data))["stream_seq"] != command:
        pass

    assert consumer.ack_wait == ack_wait.total_seconds()
    assert sample["deliveries"] > 1
