"""What clients hear that nobody should have said is dropped with one line, and what is said after it is heard."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests import chat_engine, jobs
from tests.chat_engine import a_client
from tests.servers import Connections
from tests.wire.mangled import ODD, mangled
from workspaced.app.contract.examples import examples
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import subjects
from workspaced.bus.agent_client import AgentClient
from workspaced.bus.follow_logs import LogFollow, LogFollows
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.messages import Logs
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.bus.request import Patience
from workspaced.fsm.commands import Owner
from workspaced.fsm.effects import Job
from workspaced.fsm.errors import NotFound
from workspaced.fsm.events import AgentReport
from workspaced.tools.call import ToolCall, ToolSettings
from workspaced.tools.offer import TOOLS, run_tool

TRIES = int(os.environ.get("FUZZ", "150"))
SAFETY_NET = 60.0 + TRIES
"""Seconds after which a test gives up; never the thing measured."""
NEWEST = 10**60
"""Above every version that mangling makes."""


@pytest.fixture
def dice() -> random.Random:
    """The same in each run."""
    return random.Random(1)  # noqa: S311  # dice, no secret


@pytest.fixture
async def played(connect: Connections) -> AsyncIterator[chat_engine.Engine]:
    """An engine for a chat daemon."""
    engine = chat_engine.Engine(connect)
    await engine.start()
    yield engine
    await engine.service.stop()


@pytest.fixture
async def engine(connect: Connections) -> jobs.Engine:
    """An engine for provisioners and agents."""
    engine = jobs.Engine(connect)
    await engine.start()
    return engine


def lines_of(caplog: pytest.LogCaptureFixture) -> int:
    """How many there are; each is one line without a traceback, and none is the NATS library's own."""
    for record in caplog.records:
        assert record.name.startswith("workspaced.")
        assert record.exc_info is None
        assert record.getMessage().isprintable()
    return len(caplog.records)


async def test_pushes(
    played: chat_engine.Engine,  # noqa: ARG001  # must run
    nats: NatsServer,
    connect: Connections,
    dice: random.Random,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A watch goes on, and so does that of all chats."""
    golden: dict[str, Any] = examples()["chat"]
    last = golden["body"] | {"version": NEWEST, "snapshot": golden["body"]["snapshot"] | {"version": NEWEST}}
    chat = golden["subject"].split(".")[2]
    other = golden["body"] | {"chat_id": str(uuid4()), "version": 2}
    others = [other, other | {"snapshot": golden["body"]["snapshot"] | {"chat_id": other["chat_id"]}}]
    told: set[str] = set()
    sender, heard = await connect("engine"), 0
    async with (
        await a_client(nats) as client,
        client.watch(chat, current=False) as watch,
        client.watch_all() as pushes,
        asyncio.timeout(SAFETY_NET),
    ):
        bodies = [mangled(golden["body"], dice) for _ in range(TRIES)]
        for body in [*bodies, *(json.dumps(each).encode() for each in [*others, last])]:
            await sender.publish(golden["subject"], body)
        async for push in pushes:
            heard, told = heard + 1, told | {push.chat_id, push.snapshot.chat_id}
            if push.version == NEWEST:
                break
        async for snapshot in watch:
            if snapshot.version == NEWEST:
                break

    assert told == {chat}
    assert lines_of(caplog) == 2 * (TRIES + len(others) + 1 - heard)


async def test_lines_of_logs(
    connect: Connections, nats: NatsServer, dice: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """A log is followed to its end."""
    golden = examples()["log"]
    sender, heard = await connect("provisioner"), 0

    async def nothing_kept(build_id: str, *, after: int = 0, limit: int = 0) -> Logs:  # noqa: ARG001  # a ReadPage
        return Logs((), has_more=False, ended=False)

    async with await a_client(nats) as client, asyncio.timeout(SAFETY_NET):
        follows = LogFollows(client.connection, nothing_kept)
        async with LogFollow(follows, golden["subject"].split(".")[3]) as following:
            for body in [*(mangled(golden["body"], dice) for _ in range(TRIES)), b'{"seq": 1, "end": true}']:
                await sender.publish(golden["subject"], body)
            async for _ in following:
                heard += 1

    assert lines_of(caplog) == TRIES - heard


async def test_what_agents_hear(engine: jobs.Engine, connect: Connections, dice: random.Random) -> None:
    """Resyncs and pings; the agent goes on answering and telling."""
    workspace, agent, build = (str(uuid4()) for _ in range(3))
    said: list[str] = []
    client = AgentClient(workspace, agent, build, on_trouble=said.append)
    who = connect.server.roles["agent"]
    await client.connect(connect.server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix)
    client.lifecycle("ready")
    job = {"workspace": {"id": workspace}, "build_id": build}
    await engine.agent(job, "connected")
    resync = examples()["resync"]["body"]
    for _ in range(TRIES):
        await engine.nc.publish(dice.choice([subjects.resync(), subjects.resync(workspace)]), mangled(resync, dice))
        await engine.nc.publish(subjects.ping(agent), mangled(resync, dice))
    answer = await engine.nc.request(subjects.ping(agent), b"{}", timeout=SAFETY_NET)
    client.lifecycle("shutting_down")
    await engine.lifecycle(job, "shutting_down")
    await client.close()

    assert json.loads(answer.data)["lifecycle"] == "ready"
    assert 0 < len(said) <= TRIES
    assert {line.partition(": ")[0] for line in said} == {"a resync cannot be read and is dropped"}


async def test_what_provisioners_hear(
    engine: jobs.Engine, connect: Connections, dice: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancels and resyncs of others stop nothing; the right ones do their work."""
    entered: asyncio.Queue[JobInHand] = asyncio.Queue()

    async def wait(_: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        entered.put_nowait(hand)
        await hand.canceled.wait()
        return ()

    client = ProvisionerClient(await connect("provisioner"), "local")
    running, job = asyncio.create_task(client.run(wait)), jobs.a_job()
    await engine.send(job)
    hand = await asyncio.wait_for(entered.get(), SAFETY_NET)
    for _ in range(TRIES):
        await engine.nc.publish(subjects.cancel(job["job_id"]), mangled(examples()["cancel"]["body"], dice))
    # What a stream answers, whom somebody had the server send it to by a reply subject.
    await engine.nc.publish(subjects.cancel(job["job_id"]), b'{"stream": "EVENTS", "seq": 1}')
    await engine.nc.publish(subjects.resync(), b'{"stream": "EVENTS", "seq": 1}')
    await engine.resync()
    for _ in range(2):
        await engine.job(job, "running")
    undisturbed = not hand.canceled.is_set()
    await engine.cancel(job)
    await engine.job(job, "canceling")
    await engine.job(job, "succeeded")
    await client.drain()
    await running

    assert undisturbed
    assert lines_of(caplog) == TRIES + 2


async def test_jobs(
    engine: jobs.Engine, connect: Connections, dice: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is done, or reported as failed, or dropped with a line where it names nobody; the next one is done."""

    async def do(_: Job, __: JobInHand) -> tuple[AgentReport, ...]:
        return ()

    client = ProvisionerClient(await connect("provisioner"), "local", concurrency=20)
    running, stream = asyncio.create_task(client.run(do)), engine.nc.jetstream()
    for body in (mangled(jobs.a_job(), dice) for _ in range(TRIES // 3)):
        await stream.publish(subjects.job("local", str(uuid4())), body)
    last = jobs.a_job()
    await engine.send(last)
    await engine.job(last, "succeeded")
    await client.drain(timedelta(seconds=SAFETY_NET))
    await running

    assert await engine.queue_is_empty()
    assert 0 < lines_of(caplog) < TRIES // 3


async def test_what_a_model_gives(
    played: chat_engine.Engine, nats: NatsServer, dice: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """Every tool has an answer to it, which can be written as JSON; the engine knows nothing."""
    golden = {"template_id": str(uuid4()), "name": "a", "parameters": {"a": "b"}, "preset_id": None, "page": 1}
    async with await a_client(nats, patience=Patience(attempts=1)) as client, asyncio.timeout(SAFETY_NET):
        for number in range(TRIES):
            played.answers[:] = [NotFound()] * 10
            call = ToolCall(
                client=client,
                chat_id=str(uuid4()),
                owner=Owner(str(uuid4()), "ada"),
                organization_id=str(uuid4()),
                id=f"t{number}",
                settings=ToolSettings(request_attempts=1),
            )
            given = {name: dice.choice([value, *ODD]) for name, value in golden.items() if dice.random() < 0.8}
            if dice.random() < 0.5:
                given["parameters"] = {"a": dice.choice(ODD)}
            result = await run_tool(dice.choice(sorted(TOOLS)), call, given)

            assert json.dumps(result.content)
    assert lines_of(caplog) == 0
