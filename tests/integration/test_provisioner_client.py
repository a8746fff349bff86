"""What the client does for a provisioner's author: leases, cancels, reports, logs. Handlers here do nothing real."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from nats.aio.msg import Msg

from tests.jobs import SAFETY_NET, Body, Engine, a_job, new_id
from tests.servers import Connections
from workspaced.bus import subjects
from workspaced.bus.connection import flush
from workspaced.bus.job_in_hand import Handler, JobCanceled, JobFailed, JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.bus.trace import TRACEPARENT
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport
from workspaced.fsm.facts import Quota


@pytest.fixture
async def engine(connect: Connections) -> Engine:
    """Streams, a queue for tag `local` with the usual lease, ears."""
    engine = Engine(connect)
    await engine.start()
    return engine


@asynccontextmanager
async def serving(connect: Connections, handler: Handler, **options: Any) -> AsyncIterator[ProvisionerClient]:  # noqa: ANN401  # the client's own
    """A client with that handler, which takes jobs until the block ends."""
    client = ProvisionerClient(await connect("provisioner"), "local", worker="w1", **options)
    running = asyncio.create_task(client.run(handler))
    try:
        yield client
    finally:
        await client.drain()
        await running


class Gate:
    """A handler that waits until it is let through, and counts what happens to it."""

    def __init__(self) -> None:
        self.entered: asyncio.Queue[JobInHand] = asyncio.Queue()
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, _: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        """Wait at the gate."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.put_nowait(hand)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return ()

    async def next(self) -> JobInHand:
        """The next job that came in."""
        return await asyncio.wait_for(self.entered.get(), SAFETY_NET)


async def test_failed_job_carries_its_reason(engine: Engine, connect: Connections) -> None:
    """Everything that JobFailed knows is in the one terminal report, after the log's end."""

    async def over_quota(_: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        hand.log("plan", "info", "two\nlines")
        raise JobFailed("no credits left", error_code="INSUFFICIENT_QUOTA", retryable=False, quota=Quota(7, 5))

    job = a_job()
    async with serving(connect, over_quota):
        await engine.send(job)
        report = await engine.job(job, "failed")

    assert report["error"] == "no credits left"
    assert (report["error_code"], report["retryable"]) == ("INSUFFICIENT_QUOTA", False)
    assert report["quota"] == {"credits_consumed": 7, "budget": 5}
    assert [line.get("output") for line in engine.log(job)] == ["two", "lines", None]
    assert engine.log(job)[-1]["end"] is True
    assert await engine.queue_is_empty()


async def test_internals_of_an_unexpected_error_are_not_shown(engine: Engine, connect: Connections) -> None:
    """A bug in a handler fails the job; its text stays in the operator's log."""

    async def buggy(_: Job, __: JobInHand) -> tuple[AgentReport, ...]:
        raise RuntimeError("postgres://secret@host")

    job = a_job()
    async with serving(connect, buggy):
        await engine.send(job)
        report = await engine.job(job, "failed")

    assert report["error"] == "the provisioner failed with an internal error (RuntimeError)"


async def test_canceled_job_stops_gently(engine: Engine, connect: Connections) -> None:
    """A handler that heeds `canceled` ends the job as canceled, after `canceling`."""

    async def gentle(_: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        await hand.canceled.wait()
        raise JobCanceled

    job = a_job()
    async with serving(connect, gentle):
        await engine.send(job)
        await engine.job(job, "running")
        await engine.cancel(job)
        await engine.job(job, "canceling")
        await engine.job(job, "canceled")

    assert await engine.queue_is_empty()


async def test_canceled_job_is_stopped_by_force_after_the_grace(engine: Engine, connect: Connections) -> None:
    """A handler that does not heed `canceled` is cancelled itself."""
    gate, job = Gate(), a_job()
    async with serving(connect, gate, cancel_grace=timedelta(milliseconds=10)):
        await engine.send(job)
        await engine.job(job, "running")
        await engine.cancel(job)
        await engine.job(job, "canceling")
        await engine.job(job, "canceled")

    assert gate.inside == 0


async def test_work_that_was_done_before_the_cancel_succeeds(engine: Engine, connect: Connections) -> None:
    """The engine cleans up after a late success (domain.md 2.4), so the success is told."""

    async def finishes(_: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        await hand.canceled.wait()
        return ()

    job = a_job()
    async with serving(connect, finishes):
        await engine.send(job)
        await engine.job(job, "running")
        await engine.cancel(job)
        report = await engine.job(job, "succeeded")

    assert report["agents"] == []


async def test_lease_is_extended_while_the_job_runs(connect: Connections) -> None:
    """A job that takes several leases is not given away."""
    engine = Engine(connect)
    await engine.start(job_lease=timedelta(seconds=2))
    extended: asyncio.Queue[bytes] = asyncio.Queue()

    async def on_ack(msg: Any) -> None:  # noqa: ANN401  # nats-py's Msg
        if msg.data == b"+WPI":
            extended.put_nowait(msg.data)

    await engine.nc.subscribe("$JS.ACK.JOBS.local.>", cb=on_ack)
    await engine.nc.flush()
    gate, job = Gate(), a_job()
    async with serving(connect, gate):
        await engine.send(job)
        for _ in range(4):  # a third of the lease each
            await asyncio.wait_for(extended.get(), SAFETY_NET)
        gate.open.set()
        report = await engine.job(job, "succeeded")

    assert report["attempt"] == 1
    assert gate.entered.qsize() == 1


async def test_lost_lease_stops_the_work_and_says_nothing(connect: Connections) -> None:
    """When the server gives the job away, its first holder is cancelled and only the second one reports the end."""
    engine = Engine(connect)
    await engine.start(job_lease=timedelta(milliseconds=300))
    gate, job = Gate(), a_job()
    async with serving(connect, gate, extend=timedelta(hours=1)):
        await engine.send(job)
        first = await gate.next()
        second = await gate.next()
        gate.open.set()
        report = await engine.job(job, "succeeded")

    assert first.lost.is_set()
    assert second.attempt == report["attempt"] == 2
    assert engine.reports(job) == ["running", "running"]


async def test_job_that_lost_its_provisioner_too_often_is_not_run(engine: Engine, connect: Connections) -> None:
    """Beyond `attempts` deliveries the job is reported as hung (domain.md section 9, rule 3)."""
    gate, job = Gate(), a_job()
    await engine.send(job)
    await deliver_in_vain(engine, times=3)
    async with serving(connect, gate):
        report = await engine.job(job, "failed")

    assert report["error"] == "Build has been detected as hung: its provisioner was lost 3 times"
    assert gate.entered.empty()


async def deliver_in_vain(engine: Engine, *, times: int) -> None:
    """Have the job delivered and given back."""
    inbox = engine.nc.new_inbox()
    deliveries = await engine.nc.subscribe(inbox)
    for _ in range(times):
        await engine.nc.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.local", b"1", reply=inbox)
        msg = await deliveries.next_msg(timeout=SAFETY_NET)
        await engine.nc.request(msg.reply, b"-NAK")
    await deliveries.unsubscribe()


async def test_reports_by_tag(engine: Engine, connect: Connections) -> None:
    """The subject names who says it."""
    gate, job = Gate(), a_job()
    gate.open.set()
    async with serving(connect, gate, by_tag=True):
        await engine.send(job)
        subject = subjects.job_event(job["workspace"]["id"], "succeeded", "local")
        report = await engine.hear(lambda of, _: of == subject)

    assert report["job_id"] == job["job_id"]


async def test_jobs_in_hand_are_told_again_on_resync(engine: Engine, connect: Connections) -> None:
    """`ws.resync` is for every job, `ws.resync.<workspace>` for those of that workspace; each report has a new id."""
    gate, one, other = Gate(), a_job(), a_job()
    async with serving(connect, gate):
        for job in (one, other):
            await engine.send(job)
        first = await engine.job(one, "running")
        await engine.job(other, "running")
        await engine.resync()
        again = await engine.job(one, "running")
        await engine.job(other, "running")
        await engine.resync(one["workspace"]["id"])
        await engine.job(one, "running")
        gate.open.set()
        await engine.job(other, "succeeded")

    assert first["id"] != again["id"]
    assert engine.reports(other) == []


async def test_no_more_jobs_than_there_is_room_for(engine: Engine, connect: Connections) -> None:
    """The rest waits in the queue, oldest first."""
    gate, jobs = Gate(), [a_job() for _ in range(5)]
    for job in jobs:
        await engine.send(job)
    async with serving(connect, gate, concurrency=2):
        await gate.next()
        await gate.next()
        gate.open.set()
        for job in jobs:
            await engine.job(job, "succeeded")

    assert gate.most == 2


async def test_drain_gives_unfinished_jobs_back(engine: Engine, connect: Connections) -> None:
    """The next provisioner has them at once, not after the lease."""
    gate, job = Gate(), a_job()
    async with serving(connect, gate):
        await engine.send(job)
        await gate.next()
    async with serving(connect, gate):
        gate.open.set()
        report = await engine.job(job, "succeeded")

    assert report["attempt"] == 2


async def test_drain_lets_jobs_finish_within_its_limit(engine: Engine, connect: Connections) -> None:
    """A job that ends in time is reported by the one that began it."""
    gate, job = Gate(), a_job()
    async with serving(connect, gate) as client:
        await engine.send(job)
        await gate.next()
        draining = asyncio.create_task(client.drain(timedelta(seconds=SAFETY_NET)))
        gate.open.set()
        await draining

    assert (await engine.job(job, "succeeded"))["attempt"] == 1


async def test_job_that_cannot_be_read_fails(engine: Engine, connect: Connections) -> None:
    """While it names its build somebody is told; what names nothing is dropped, and neither stops the queue."""
    gate, job = Gate(), a_job()
    gate.open.set()
    await engine.nc.jetstream().publish(subjects.job("local", new_id()), b"garbage")
    await engine.send(job | {"transition": "explode"})
    async with serving(connect, gate):
        report = await engine.job(job, "failed")

    assert report["error"].startswith("the job cannot be read: Invalid enum value 'explode'")
    assert report["retryable"] is False
    assert await engine.queue_is_empty()


async def test_lines_are_cut_and_numbered(engine: Engine, connect: Connections) -> None:
    """A line has a bounded length; numbers grow, also from one attempt to the next."""

    async def talks(_: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        hand.log("build", "info", "x" * 5000)
        return ()

    job = a_job()
    await engine.send(job)
    await deliver_in_vain(engine, times=1)
    async with serving(connect, talks):
        await engine.job(job, "succeeded")

    line, end = engine.log(job)
    assert line["output"] == "x" * 4096 + "… (904 more characters)"
    assert (line["seq"], end["seq"]) == (1_000_000_001, 1_000_000_002)


async def test_lines_leave_while_the_job_runs(engine: Engine, connect: Connections) -> None:
    """Nobody waits for the end of a build to read its log."""
    gate, job = Gate(), a_job()
    async with serving(connect, gate, log_flush=timedelta(milliseconds=1)):
        await engine.send(job)
        (await gate.next()).log("build", "info", "half way")
        line = await engine.hear(lambda _, body: body.get("output") == "half way")

    assert (line["stage"], line["level"], line["seq"]) == ("build", "info", 1)


async def test_foreign_build_is_announced(engine: Engine, connect: Connections) -> None:
    """`build_created` returns when the announcement is stored."""
    client = ProvisionerClient(await connect("provisioner"), "local")
    workspace, build, job = new_id(), new_id(), new_id()
    await client.build_created(workspace, build, 4, "stop", job, initiator="ada")
    stored = await engine.nc.jetstream().get_last_msg("EVENTS", subjects.build_created(workspace))

    assert stored.data is not None
    body: Body = json.loads(stored.data)
    assert (body["build_id"], body["build_number"], body["transition"]) == (build, 4, "stop")
    assert (body["job_id"], body["initiator"]) == (job, "ada")


async def test_reports_name_the_trace_of_their_job(engine: Engine, connect: Connections) -> None:
    """The handler finds it too, and goes on with it where it likes."""
    trace, found = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", []

    async def traced(_: Job, __: JobInHand) -> tuple[AgentReport, ...]:
        found.append(TRACEPARENT.get())
        return ()

    async def note(message: Msg) -> None:
        found.append((message.headers or {}).get("traceparent"))

    await engine.nc.subscribe("ws.event.*.job.*", cb=note)
    job = a_job()
    async with serving(connect, traced):
        await engine.nc.jetstream().publish(
            subjects.job("local", job["job_id"]), json.dumps(job).encode(), headers={"traceparent": trace}
        )
        await engine.job(job, "succeeded")

    assert found == [trace] * 3


async def test_logs_go_to_their_organization_too(engine: Engine, connect: Connections) -> None:
    """Line by line and the end, where the client is told so."""
    told: list[Any] = []

    async def note(message: Msg) -> None:
        line = json.loads(message.data)
        told.append((message.subject, line.get("output", "end")))

    async def log(_: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        hand.log("build", "info", "made")
        return ()

    await engine.nc.subscribe("ws.org.>", cb=note)
    job, silent = a_job(), a_job()
    async with serving(connect, log, tenants=True):
        await engine.send(job)
        await engine.job(job, "succeeded")
    async with serving(connect, log):
        await engine.send(silent)
        await engine.job(silent, "succeeded")
    await flush(engine.nc)

    subject = subjects.log(job["workspace"]["id"], job["build_id"], job["organization_id"])
    assert told == [(subject, "made"), (subject, "end")]
