"""What every provisioner owes, check by check (docs/protocol.md, jobs)."""

import asyncio
from typing import Final

from nats.js.errors import NotFoundError

from workspaced.app.conformance.jobs import TERMINAL, Job, JobGround
from workspaced.app.conformance.suite import Check
from workspaced.app.conformance.wire import Failed, Said, Skipped
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.codec import decode_event
from workspaced.bus.messages import LogEnd, LogLine
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import BuildCreated, JobReport

AT_ONCE: Final = 5
ATTEMPTS: Final = 3
QUIET_S: Final = 1.0
"""How long a program has to do nothing to count as doing nothing."""


def _require(holds: object, text: str) -> None:
    if not holds:
        raise Failed(text)


async def running_first(ground: JobGround) -> None:
    """A job of the tag is taken, and `running` is said before anything else."""
    job = await ground.give()
    first = await job.told("running", *TERMINAL)
    await job.done()
    _require(first.subject.endswith(".running"), f"the first report was {first.subject.rpartition('.')[2]}")
    body = first.json()
    ids = {name: job.body[name] for name in ("job_id", "build_id", "build_number")}
    told = {name: body.get(name) for name in ids}
    _require(told == ids, f"the report names {told}, the job {ids}")
    _require(body.get("attempt", 1) == 1, f"attempt is {body.get('attempt')} at the first delivery")
    _require(body.get("worker"), "`worker` is missing, so nobody can tell who has the job")


async def agents_told(ground: JobGround) -> None:
    """A start ends `succeeded` with the build's agents, which are new ones for each build."""
    jobs = [await ground.give(), await ground.give()]
    seen: set[str] = set()
    for job in jobs:
        report = await job.done()
        _require(report.subject.endswith(".succeeded"), f"the job ended {job.statuses()[-1]}: {report.body[:300]!r}")
        agents = report.json().get("agents")
        _require(isinstance(agents, list), "`agents` is missing: the engine waits for it (an empty list means none)")
        ids = {agent.get("id") for agent in agents or ()}
        _require(not ids & seen, "two builds have an agent of the same id")
        seen |= ids


async def acked_after_end(ground: JobGround) -> None:
    """The job leaves the queue only after its terminal report."""
    job = await ground.give()
    ack = await job.acked()
    before = ground.wire.said[: ground.wire.said.index(ack)]
    _require(
        any(job.is_report(said, *TERMINAL) for said in before), "the job was acknowledged before its terminal report"
    )


async def log_ended(ground: JobGround) -> None:
    """The log ends once, with its highest `seq`, before the terminal report."""
    job = await ground.give()
    terminal = await job.done()
    logged = job.logged()
    ends = [said for said in logged if said.json().get("end") is True]
    _require(len(ends) == 1, f"the log's end was said {len(ends)} times, not once")
    _require(logged[-1] is ends[0], "a line came after the log's end")
    order = [said.json().get("seq", 0) for said in logged]
    _require(order == sorted(set(order)), f"`seq` does not grow: {order[:20]}")
    said = ground.wire.said
    _require(said.index(ends[0]) < said.index(terminal), "the log's end came after the terminal report")


async def stop_and_delete(ground: JobGround) -> None:
    """A workspace is started, stopped, started again and deleted."""
    start = await ground.give()
    await start.succeeded()
    for number, transition in enumerate(("stop", "start", "delete"), 2):
        job = await ground.give(transition, workspace_id=start.workspace_id, number=number)  # type: ignore[arg-type]  # those three
        await job.succeeded()


async def nothing_to_stop(ground: JobGround) -> None:
    """To stop or delete what is not there succeeds."""
    await (await ground.give("stop")).succeeded()
    await (await ground.give("delete")).succeeded()


async def failure_told(ground: JobGround) -> None:
    """A build that fails is reported `failed`, with a text for people."""
    if ground.sources.failing is None:
        raise Skipped("needs --failing-source: a template's source whose build fails")
    job = await ground.give(source=ground.sources.failing)
    report = await job.done()
    _require(report.subject.endswith(".failed"), f"the job ended {job.statuses()[-1]}")
    _require(report.json().get("error"), "`error` is empty: nobody learns why")


async def many_at_once(ground: JobGround) -> None:
    """Several jobs do not mix: each ends once."""
    jobs = [await ground.give() for _ in range(AT_ONCE)]
    for job in jobs:
        await job.done()
    for job in jobs:
        ends = [status for status in job.statuses() if status in TERMINAL]
        _require(len(ends) == 1, f"job {job.id} ended {len(ends)} times: {', '.join(ends)}")


async def lease_kept(ground: JobGround) -> None:
    """A job that takes long is not given to another: its lease is extended in time."""
    job = await ground.give_slow()
    await ground.wire.until("an extension of the lease (+WPI)", job.is_renewal, job.since)
    before = await ground.deliveries()
    await ground.pause(1.5 * ground.lease_s)
    again = await ground.deliveries() - before
    _require(not again, f"the lease of {ground.lease_s:.0f} s ran out, and the job was given away again")
    await job.cancel()
    await job.done()


async def cancel_heeded(ground: JobGround) -> None:
    """`ws.cancel.<job_id>`: `canceling` at once, then `canceled`, and the job leaves the queue."""
    job = await ground.give_slow()
    await job.cancel()
    await job.told("canceling", *TERMINAL)
    _require(job.reports("canceling"), f"`canceling` was not reported, only {', '.join(job.statuses())}")
    end = await job.done()
    _require(not end.subject.endswith(".succeeded"), "the build went on to its end")


async def other_cancels_ignored(ground: JobGround) -> None:
    """Canceling another job does not touch this one."""
    job = await ground.give_slow()
    since = ground.wire.now
    other = Job(ground.wire, job.body | {"job_id": job.body["owner"]["id"]})
    await other.cancel()
    await ground.wire.silent("a report though another job was canceled", job.is_report, since, QUIET_S)
    await job.cancel()
    await job.done()


async def resync_answered(ground: JobGround) -> None:
    """`ws.resync`, also of the workspace alone: the job in hand is told again, under a new id."""
    job = await ground.give_slow()
    names = {said.name for said in job.reports()}
    for workspace in (None, job.workspace_id):
        since = ground.wire.now
        await ground.wire.say(subjects.resync(workspace), {"at": job.body["at"]})
        again = await job.told("running", since=since)
        _require(again.name not in names, "`running` was told again under its old id: the stream drops it")
        names.add(again.name)
    since = ground.wire.now
    await ground.wire.say(subjects.resync(job.body["owner"]["id"]), {"at": job.body["at"]})
    await ground.wire.silent("a report for another workspace's resync", job.is_report, since, QUIET_S)
    await job.cancel()
    await job.done()


async def nothing_after_end(ground: JobGround) -> None:
    """What is over is not told again, nor once more on resync."""
    job = await ground.give()
    await job.done()
    since = ground.wire.now
    await ground.wire.say(subjects.resync(), {"at": job.body["at"]})
    await job.cancel()
    await ground.wire.silent("a report on a job that is over", job.is_report, since, QUIET_S)


async def repeated_until_stored(ground: JobGround) -> None:
    """With the stream away nothing is lost: reports are repeated under one id, and the job stays on the queue."""
    job = await ground.give_slow()
    since = ground.wire.now
    await ground.wire.connection.jetstream().delete_stream(streams.EVENTS)
    try:
        await job.cancel()
        first = await ground.wire.until("a report after the cancel", job.is_report, since)
        await ground.wire.until(
            f"{first.subject} once more, which nobody had stored,",
            lambda said: job.is_report(said) and said.name == first.name,
            since,
            count=2,
        )
        _require(not ground.wire.all(job.is_ack, since), "the job was acknowledged though its end was not stored")
    finally:
        await jetstream.ensure(ground.wire.connection)
    end = await job.done()
    try:
        stored = await ground.wire.connection.jetstream().get_last_msg(streams.EVENTS, end.subject)
    except NotFoundError:
        raise Failed("the terminal report is not in the stream") from None
    _require(stored.data == end.body, "another terminal report is in the stream")


async def killed_runs_again(ground: JobGround) -> None:
    """Killed at work, the program takes the job again when the lease is over, and says which attempt it is."""
    ground.program.need_command()
    job = await ground.give_slow()
    ground.program.kill()
    ground.program.start()
    again = await ground.wire.until(
        "`running` of the second attempt",
        lambda said: job.is_report(said, "running") and said.json().get("attempt", 1) > 1,
        job.since,
    )
    await job.cancel()
    await job.done()
    told, was = again.json()["attempt"], job.attempt_of(await job.acked())
    _require(told == was, f"`attempt` is {told} at delivery {was}")


async def hung_job_refused(ground: JobGround) -> None:
    """A job that was lost three times is not run a fourth time but reported as hung."""
    ground.program.need_command()
    ground.program.end()
    job = await ground.give()
    for _ in range(ATTEMPTS):
        await ground.wire.connection.publish(await ground.pull(), b"-NAK")
    ground.program.start()
    report = await job.done()
    _require(not job.reports("running"), "it was run once more")
    _require(report.subject.endswith(".failed"), f"it ended {job.statuses()[-1]}")
    lost = job.attempt_of(await job.acked()) - 1  # one more where the program that ended was still thought to wait
    wanted = f"Build has been detected as hung: its provisioner was lost {lost} times"
    _require(report.json().get("error") == wanted, f"`error` is {report.json().get('error')!r}, not {wanted!r}")


async def lost_lease_heeded(ground: JobGround) -> None:
    """A program that was suspended for longer than its lease says nothing more in the name of that attempt."""
    job = await ground.give_slow()
    await ground.wire.until("an extension of the lease (+WPI)", job.is_renewal, job.since)
    known = {said.name for said in job.reports()}
    ground.program.freeze()
    try:
        await ground.pause(ground.lease_s + QUIET_S)
    finally:
        since = ground.wire.now
        ground.program.thaw()

    def old(said: Said) -> bool:
        return job.is_report(said) and said.json().get("attempt", 1) == 1 and said.name not in known

    await ground.wire.silent("a report of the attempt whose lease was lost", old, since, QUIET_S)
    await job.told("running", since=since)
    await job.cancel()
    await job.done()


async def reports_readable(ground: JobGround) -> None:
    """Every report and every log line is as the contract says, and every report has an id."""
    told = [(said, kind) for said in ground.wire.said if (kind := _kind(said.subject)) is not None]
    if not told:
        raise Skipped("nothing was reported")
    for said, kind in told:
        try:
            for_end = kind is LogLine and said.json().get("end") is True
            decode_event(said.body, LogEnd if for_end else kind)
        except UndecodableMessage as error:
            raise Failed(f"{said.subject}: {error}") from None
        if kind is not LogLine:
            _require(said.name, f"{said.subject} has no id: sent again, it counts twice")


def _kind(subject: str) -> type | None:
    tokens = subject.split(".")
    if tokens[:2] == ["ws", "log"]:
        return LogLine
    if tokens[:2] == ["ws", "event"] and "job" in tokens[3:4]:
        return JobReport
    return BuildCreated if subject.startswith("ws.event.") and subject.endswith("build.created") else None


async def leaves_nothing(ground: JobGround) -> None:
    """Every workspace that the checks made can be deleted."""
    await asyncio.wait_for(ground.clean_up(), timeout=10 * ground.wire.patience_s)


CHECKS: Final[tuple[Check[JobGround], ...]] = tuple(
    Check[JobGround].of(run)
    for run in (
        running_first,
        agents_told,
        acked_after_end,
        log_ended,
        stop_and_delete,
        nothing_to_stop,
        failure_told,
        many_at_once,
        lease_kept,
        cancel_heeded,
        other_cancels_ignored,
        resync_answered,
        nothing_after_end,
        repeated_until_stored,
        killed_runs_again,
        lost_lease_heeded,
        hung_job_refused,
        leaves_nothing,
        reports_readable,
    )
)
