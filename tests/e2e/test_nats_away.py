"""NATS goes away and comes back, with its storage or without."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.e2e.gate import Gate
from tests.e2e.provisioner import an_agent
from tests.e2e.stack import LIMIT, Stack
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.serve import Server
from workspaced.app.server_process import ServerFailed
from workspaced.fsm.state import State

SAFETY = timedelta(seconds=LIMIT)


@pytest.fixture
async def fragile(stack: Stack, nats: NatsServer) -> AsyncIterator[NatsServer]:  # noqa: ARG001  # which goes first
    """The stack's NATS server, which runs again after the test."""
    yield nats
    try:
        _ = nats.pid
    except ServerFailed:
        await nats.start()


async def until_page(stack: Stack, engine: Server, wanted: str) -> None:
    """Wait until `/readyz` says so."""
    async with asyncio.timeout(LIMIT):
        while wanted not in (await stack.page(engine, "/readyz"))[1]:
            pass


async def test_a_deadline_outlives_a_restart(stack: Stack, fragile: NatsServer) -> None:
    """A deadline that was set before the server died fires after it came back."""
    await stack.engine(connecting_deadline=timedelta(seconds=1))
    chat = str(uuid4())
    await stack.provisioner.build(await stack.provisioner.job((await stack.create(chat)).build_id))
    await stack.pushes.until(chat, "connecting")

    await fragile.kill()
    await fragile.start()
    failed = await stack.client.wait_until(chat, {State.FAILED}, SAFETY)

    assert failed.failure
    assert failed.failure.code == "agent_not_connected"
    assert failed.cause
    assert failed.cause.event == "deadline"


async def test_links_are_settled(stack: Stack, fragile: NatsServer) -> None:
    """A dead server announces no disconnects; the engine asks who is there, and a late connect heals."""
    await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    agent = await stack.provisioner.agent(job, own=True)
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    await stack.pushes.until(chat, "ready")

    await fragile.kill()
    with suppress(asyncio.CancelledError, OSError):  # nats-py's close minds that its server is gone
        await agent.connection.close()
    await fragile.start()
    lost = await stack.client.wait_until(chat, {State.CONNECTING}, SAFETY)
    back = await stack.provisioner.agent(job, own=True)
    back.id = agent.id
    await back.get_ready()
    healed = await stack.client.wait_until(chat, {State.READY}, SAFETY)

    assert lost.cause
    assert lost.cause.event == "sys.disconnect"
    assert healed.agent_id == agent.id


async def test_readyz_names_nats(stack: Stack, fragile: NatsServer) -> None:
    """While NATS is away `/readyz` says so, `/livez` does not mind, and it heals."""
    engine = await stack.engine()

    await fragile.kill()
    await until_page(stack, engine, "NATS is away")
    away = await stack.page(engine, "/readyz")
    alive = await stack.page(engine, "/livez")
    await fragile.start()
    await until_page(stack, engine, "ready\n")

    assert away == (503, "NATS is away\n")
    assert alive == (200, "alive\n")
    assert (await stack.page(engine, "/readyz")) == (200, "ready\n")


async def test_an_end_without_nats(stack: Stack, fragile: NatsServer) -> None:
    """An engine that is to end while NATS is away ends."""
    engine = await stack.engine()

    await fragile.kill()
    await until_page(stack, engine, "NATS is away")
    await stack.stop(engine)


async def wipe(server: NatsServer) -> None:
    """The server dies and its disk with it."""
    await server.kill()
    shutil.rmtree(server.folder / "nats")
    await server.start()


@pytest.mark.parametrize("late", [False, True], ids=["made at once", "made late"])
async def test_storage_wiped(stack: Stack, fragile: NatsServer, late: bool) -> None:
    """The engine makes good by itself: deadlines armed, jobs queued, everybody asked; new streams are new ones."""
    engine = await stack.engine()
    pending, connecting = str(uuid4()), str(uuid4())
    agent = await stack.provisioner.build(await stack.provisioner.job((await stack.create(connecting)).build_id))
    await stack.pushes.until(connecting, "connecting")
    await stack.provisioner.job((await stack.create(pending)).build_id)

    await stack.decided()
    stack.provisioner.resyncs.clear()  # there was one at the engine's start

    await wipe(fragile)
    if late:
        await until_page(stack, engine, "no messages are taken")
    await stack.make_streams()
    await until_page(stack, engine, "ready\n")
    await stack.provisioner.resynced()

    jobs = {kept.json()["build_id"] for kept in await stack.stored("JOBS")}
    timers = {kept.subject for kept in await stack.stored("TIMERS")}
    assert jobs == {(await stack.client.get(pending)).build_id}
    assert {f"ws.timer.chat.{chat}" for chat in (pending, connecting)} <= timers
    # Sequences of the new stream begin anew, and none of them may be taken for one that was decided before.
    renewed = await stack.provisioner.agent(agent.job, own=True)
    renewed.id = agent.id
    await renewed.get_ready()
    await stack.client.wait_until(connecting, {State.READY}, SAFETY)
    assert (await stack.create(str(uuid4()))).outcome == "accepted"


async def test_a_late_acknowledgement_hits_no_message_of_new_streams(stack: Stack, fragile: NatsServer) -> None:
    """A batch that is held while the storage is wiped has numbers that mean other messages afterwards."""
    gate = Gate("before_ack")
    await stack.engine(gate.moments)
    gate.close()
    await stack.put_command("create", stack.a_create(str(uuid4())))
    await gate.reached.wait()
    used = (await stack.admin.jetstream().stream_info("EVENTS")).state.last_seq
    acknowledged, undecided = Gate("after_ack", gate.moments), Gate("before_lock", gate.moments)

    await wipe(fragile)
    undecided.close()
    acknowledged.close()
    await stack.make_streams()
    for _ in range(used):
        await stack.put_command("create", stack.a_create(str(uuid4())))
    await undecided.reached.wait()
    gate.open()
    await acknowledged.reached.wait()

    kept = (await stack.admin.jetstream().stream_info("EVENTS")).state.messages
    consumer = await stack.admin.jetstream().consumer_info("EVENTS", "engine")
    assert (consumer.num_ack_pending or 0) + (consumer.num_pending or 0) == kept > used
    undecided.open()
    acknowledged.open()
    await stack.decided()
    assert (await stack.sql("select count(*) from workspaced.chats"))[0][0] == used + 1
