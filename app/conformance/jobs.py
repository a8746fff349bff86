"""Jobs as the engine gives them, and what their provisioner says of them."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from msgspec import Struct

from workspaced.app.conformance.program import Program
from workspaced.app.conformance.server import Door
from workspaced.app.conformance.wire import Failed, Said, Skipped, Wire
from workspaced.bus import streams, subjects
from workspaced.fsm.values import Transition

TERMINAL: Final = ("succeeded", "failed", "canceled")
_SHORT_ACK: Final = 9

Body = dict[str, Any]


class Sources(Struct, frozen=True):
    """What the provisioner under test is given to build; None where its author named nothing."""

    good: Any
    """Ends well by itself, soon."""
    failing: Any = None
    slow: Any = None
    """Takes a minute at least, if nobody stops it."""


class Job:
    """One job in play."""

    def __init__(self, wire: Wire, body: Body) -> None:
        self.wire, self.body = wire, body
        self.id: str = body["job_id"]
        self.workspace_id: str = body["workspace"]["id"]
        self.since = wire.now
        self.sequence = 0
        """In stream JOBS; known once it is there."""

    # --- what is said of it -------------------------------------------------------------------------------------------

    def is_report(self, said: Said, *statuses: str) -> bool:
        """Whether it is a report on this job, of one of `statuses` when any are named."""
        head, _, status = said.subject.rpartition(".")
        of_it = head == f"ws.event.{self.workspace_id}.job" and said.json().get("job_id") == self.id
        return of_it and (not statuses or status in statuses)

    def reports(self, *statuses: str) -> list[Said]:
        """What was reported so far, repetitions too."""
        return self.wire.all(lambda said: self.is_report(said, *statuses), self.since)

    def statuses(self) -> list[str]:
        """The same as words, without repetitions."""
        names: dict[str | None, str] = {}
        for said in self.reports():
            names.setdefault(said.name, said.subject.rpartition(".")[2])
        return list(names.values())

    async def told(self, *statuses: str, since: int | None = None) -> Said:
        """The first report of one of `statuses`. Raises Failed when none comes."""
        what = f"a report {' or '.join(f'`{status}`' for status in statuses)}"
        return await self.wire.until(
            what, lambda said: self.is_report(said, *statuses), self.since if since is None else since
        )

    async def done(self) -> Said:
        """The terminal report, once the job has left the queue too. Raises Failed."""
        report = await self.told(*TERMINAL)
        await self.acked()
        return report

    async def succeeded(self) -> None:
        """The same, and it went well. Raises Failed."""
        report = await self.done()
        if not report.subject.endswith(".succeeded"):
            error = report.json().get("error", "")
            raise Failed(f"the {self.body['transition']} ended {self.statuses()[-1]}: {error}")

    async def acked(self) -> Said:
        """`+ACK` on the job's reply subject. Raises Failed when it does not come."""
        return await self.wire.until("the acknowledgement of the job (+ACK)", self.is_ack, self.since)

    def is_ack(self, said: Said) -> bool:
        """Whether it takes the job off the queue."""
        return said.body.split(b" ")[0] in {b"", b"+ACK", b"+TERM"} and self.attempt_of(said) > 0

    def is_renewal(self, said: Said) -> bool:
        """Whether it extends the job's lease."""
        return said.body == b"+WPI" and self.attempt_of(said) > 0

    def attempt_of(self, said: Said) -> int:
        """The delivery that an acknowledgement or an extension belongs to; 0 when it is about another job."""
        tokens = said.subject.split(".")
        if tokens[:2] != ["$JS", "ACK"]:
            return 0
        stream, _, delivered, sequence = tokens[2 if len(tokens) == _SHORT_ACK else 4 :][:4]
        return int(delivered) if (stream, sequence) == (streams.JOBS, str(self.sequence)) else 0

    def logged(self) -> list[Said]:
        """Its log."""
        subject = subjects.log(self.workspace_id, self.body["build_id"])
        return self.wire.all(lambda said: said.subject == subject, self.since)

    # --- what it is told ----------------------------------------------------------------------------------------------

    async def cancel(self) -> None:
        """Tell its provisioner to stop."""
        ids = {"job_id": self.id, "build_id": self.body["build_id"], "workspace_id": self.workspace_id}
        await self.wire.say(subjects.cancel(self.id), ids | {"reason": "canceled"})


class JobGround:
    """What the checks of a provisioner stand on."""

    def __init__(self, wire: Wire, program: Program, tag: str, sources: Sources, *, door: Door, lease_s: float) -> None:
        self.wire, self.program, self.tag, self.sources, self.lease_s = wire, program, tag, sources, lease_s
        self._door = door
        self.jobs: list[Job] = []

    async def give(
        self,
        transition: Transition = "start",
        source: object = None,
        *,
        workspace_id: str | None = None,
        number: int = 1,
    ) -> Job:
        """Put a job on the queue, with fields that no provisioner knows."""
        source = self.sources.good if source is None else source
        body = a_job(transition, source, workspace_id or str(uuid4()), number)
        job = Job(self.wire, body)
        body["agent_secret"] = self._door.open_for(job.workspace_id, body["build_id"])
        self.jobs.append(job)
        stream = self.wire.connection.jetstream()
        job.sequence = (await stream.publish(subjects.job(self.tag, job.id), json.dumps(body).encode())).seq
        return job

    async def give_slow(self) -> Job:
        """A job that is running, and goes on until it is stopped. Raises Skipped without such a source."""
        if self.sources.slow is None:
            raise Skipped("needs --slow-source: a template's source whose build takes a minute at least")
        job = await self.give(source=self.sources.slow)
        await job.told("running")
        return job

    async def clean_up(self) -> None:
        """Cancel what still runs, and delete every workspace. Raises Failed at the first that cannot be deleted."""
        started = {job.workspace_id: job for job in self.jobs}
        for job in self.jobs:
            if not self.wire.all(job.is_ack, job.since):
                await job.cancel()
        for workspace_id, last in started.items():
            if last.body["transition"] != "delete":
                job = await self.give("delete", workspace_id=workspace_id, number=last.body["build_number"] + 1)
                await job.succeeded()

    async def pull(self) -> str:
        """Take the oldest job ourselves; where it is acknowledged."""
        inbox = self.wire.connection.new_inbox()
        messages = await self.wire.connection.subscribe(inbox)
        wish = json.dumps({"batch": 1, "expires": 5_000_000_000}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{streams.JOBS}.{self.tag}"
        await self.wire.connection.publish(subject, wish, reply=inbox)
        try:
            message = await messages.next_msg(timeout=self.wire.patience_s)
        finally:
            await messages.unsubscribe()
        if not message.reply:
            raise Failed("somebody else took the job: does another program take jobs of this tag?")
        return message.reply

    async def deliveries(self) -> int:
        """How often the queue gave any job away so far."""
        info = await self.wire.connection.jetstream().consumer_info(streams.JOBS, self.tag)
        return info.delivered.consumer_seq if info.delivered else 0

    async def pause(self, seconds: float) -> None:
        """Let time pass: leases are measured by the server's clock."""
        await asyncio.sleep(seconds)


def a_job(transition: Transition, source: object, workspace_id: str, number: int) -> Body:
    """A job's body as a later engine might write it: with fields that nobody knows yet."""
    build_id, now = str(uuid4()), datetime.now(UTC).isoformat()
    return {
        "id": f"{workspace_id}:{build_id}",
        "at": now.replace("+00:00", "Z"),
        "job_id": str(uuid4()),
        "build_id": build_id,
        "build_number": number,
        "transition": transition,
        "workspace": {"id": workspace_id, "name": f"conformance-{workspace_id[:4]}", "ttl_ms": None, "color": "red"},
        "owner": {"id": str(uuid4()), "name": "ada"},
        "organization_id": str(uuid4()),
        "template": {"id": str(uuid4()), "name": "conformance", "version_id": str(uuid4()), "source": source},
        "parameters": {},
        "preset_id": None,
        "prior_build_id": None,
        "agent_secret": None,
        "from_the_future": {"any": ["thing"]},
    }
