"""Floods through a real engine: what others get meanwhile, what its memory comes to, whether anything is lost.

`make flood` sends 100,000 events and 10,000 creates at once, the latter from a template whose builds never end: the
limit lets `LIMIT` of them begin, the others wait in the queue. In each flood a chat of another template is created and
must get ready. In the end the builds fail one after another until the queue is empty, and the audit must be silent.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import asyncpg
from fleet import Member, Template, new_id, ready_chats
from load import counting
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from stack import Stack, running_stack

from workspaced.app.audit import audit
from workspaced.bus import jetstream

LIMIT = 50
CHATS = 100
"""Whose agents the flood of events is about."""
GROWTH_MB = 100
"""More than this above an engine at rest, at the worst moment, and it keeps something of each message."""
PATIENCE_S = 1800
"""A safety net."""
SETTINGS = dict.fromkeys(("creating_deadline", "queue_deadline", "job_pending_limit"), "6h")
"""Settings under which nothing is overdue before it is drained."""

Body = dict[str, Any]


class Outcome(Struct):
    """What a flood came to."""

    lines: list[str]
    faults: list[str]

    def note(self, what: str, *, well: bool = True) -> None:
        """Say it, and remember it when it is a fault."""
        print(("" if well else "FAULT ") + what, flush=True)
        (self.lines if well else self.faults).append(what)


class Provisioner:
    """Takes the jobs of one tag from the queue, and tells of each what `story` says."""

    def __init__(self, connection: Client, tag: str, story: str) -> None:
        self._connection, self._tag, self._story = connection, tag, story
        self._clients = 1_000_000

    async def start(self) -> None:
        """From now on."""
        inbox = self._connection.new_inbox()
        await self._connection.subscribe(inbox, cb=self._on_job, pending_msgs_limit=-1)
        wish = {"batch": 1_000_000, "expires": PATIENCE_S * 10**9}
        await self._connection.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.JOBS.{self._tag}", json.dumps(wish).encode(), reply=inbox
        )
        await self._connection.flush()

    async def _on_job(self, message: Msg) -> None:
        if not message.reply:  # a status line
            return
        job, self._clients = json.loads(message.data), self._clients + 1
        told = failing(job) if self._story == "fails" else getting_ready(job, self._clients)
        for subject, body in told:
            await self._connection.publish(subject, json.dumps(body).encode())
        await message.ack()


def failing(job: Body) -> list[tuple[str, Body]]:
    """The build ends without a workspace."""
    ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    return [(f"ws.event.{job['workspace']['id']}.job.failed", ids | {"error": "the flood is over"})]


def getting_ready(job: Body, client_id: int) -> list[tuple[str, Body]]:
    """The build succeeds, and its agent gets ready."""
    ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    agent, event = new_id(), f"ws.event.{job['workspace']['id']}"
    link = {"server_id": "FLOOD", "client_id": client_id, "build_id": job["build_id"]}
    return [
        (f"{event}.job.running", ids),
        (f"{event}.job.succeeded", ids | {"agents": [{"id": agent, "name": "main"}]}),
        (f"{event}.agent.{agent}.connected", link),
        (f"{event}.agent.{agent}.lifecycle", link | {"state": "ready"}),
    ]


async def a_template(stack: Stack, tag: str) -> Template:
    """A new one of that provisioner."""
    organization = new_id()
    put = await ask(
        stack.admin, "templates.put", {"template": {"organization_id": organization, "name": tag, "provisioner": tag}}
    )
    return Template(organization, put["template"]["id"])


async def ask(client: Client, verb: str, body: Body) -> Body:
    """The answer; asked again under the same request id as long as it is not decided, as a client of ours does."""
    while True:
        answer = await client.request(f"ws.api.{verb}", json.dumps(body).encode(), timeout=PATIENCE_S)
        reply: Body = json.loads(answer.data)
        if reply.get("code") != "unavailable" and reply.get("outcome") != "queued":
            return reply


async def create(stack: Stack, template: Template, chat: str) -> Body:
    """A workspace for the chat."""
    wish = {"chat_id": chat, "request_id": chat, "owner": {"id": new_id(), "name": "flood"}}
    return await ask(
        stack.admin, "create", wish | {"organization_id": template.organization, "template_id": template.id}
    )


async def served(stack: Stack, template: Template) -> float:
    """A chat of another template is created and gets ready; seconds."""
    chat, began = new_id(), time.monotonic()
    async with counting(stack.admin, f"ws.chat.{chat}.ready", 1, PATIENCE_S):
        await create(stack, template, chat)
    return time.monotonic() - began


async def flood_of_creates(stack: Stack, endless: Template, other: Template, count: int, outcome: Outcome) -> None:
    """All at once; those whose turn has not come are in the queue."""
    began = time.monotonic()
    chats = [new_id() for _ in range(count)]
    replies, took = await asyncio.gather(
        asyncio.gather(*(create(stack, endless, chat) for chat in chats)), served(stack, other)
    )
    accepted = sum(reply.get("outcome") in {"accepted", "attached"} for reply in replies)
    outcome.note(
        f"{accepted:,} of {count:,} creates accepted in {time.monotonic() - began:.0f} s; "
        f"a chat of another template was ready after {took:.1f} s",
        well=accepted == count,
    )
    (row,) = await rows(
        stack,
        """select count(*) as builds, count(distinct workspace_id) as workspaces,
               count(*) filter (where queue is null) as begun
           from workspaced.builds where provisioner = 'endless'""",
    )
    found = dict(row)
    outcome.note(f"made: {found}", well=found["builds"] == found["workspaces"] == count)


async def the_limit_is_full(stack: Stack, count: int, outcome: Outcome) -> None:
    """As many as may have begun, and no more."""
    held = (await stack.admin.jetstream().consumer_info("JOBS", "endless")).num_pending
    outcome.note(f"{held} jobs wait for a provisioner that never comes", well=held == min(LIMIT, count))


async def flood_of_events(stack: Stack, members: list[Member], other: Template, count: int, outcome: Outcome) -> None:
    """Each changes its chat's state, and each change is told."""
    events = deque(members[number % len(members)].flip() for number in range(count))
    pushes = {"starting", "ready"}
    began, came = time.monotonic(), 0
    listeners = [f"ws.chat.{member.chat}.>" for member in members]
    complete = asyncio.Event()

    async def on_push(message: Msg) -> None:
        nonlocal came
        came += message.subject.rpartition(".")[2] in pushes
        if came == count:
            complete.set()

    subscriptions = [await stack.admin.subscribe(each, cb=on_push, pending_msgs_limit=-1) for each in listeners]

    async def pour() -> None:
        while events:
            subject, body, _ = events.popleft()
            await stack.admin.publish(subject, body)
        await stack.admin.flush(PATIENCE_S)

    _, took = await asyncio.gather(pour(), served(stack, other))
    told_then = came
    async with asyncio.timeout(PATIENCE_S):
        await complete.wait()
    for subscription in subscriptions:
        await subscription.unsubscribe()
    outcome.note(
        f"{came:,} of {count:,} events told in {time.monotonic() - began:.0f} s; a chat of another template was "
        f"ready after {took:.1f} s, when {told_then:,} had been told",
        well=came == count,
    )


async def drain(stack: Stack, count: int, outcome: Outcome) -> None:
    """Every build that waits has its turn and ends."""
    began = time.monotonic()
    async with counting(stack.admin, "ws.chat.*.failed", count, PATIENCE_S):
        await Provisioner(stack.admin, "endless", "fails").start()
    await settled(stack.admin)
    outcome.note(f"the queue was empty {time.monotonic() - began:.0f} s after its builds began to end")


async def settled(admin: Client) -> None:
    """Until all is decided and no look at the queue is on its way."""
    async with asyncio.timeout(PATIENCE_S):
        for stream in ("EVENTS", "TIMERS"):
            while True:
                info = await admin.jetstream().consumer_info(stream, "engine")
                if not info.num_pending and not info.num_ack_pending:
                    break
                await asyncio.sleep(0.1)


async def rows(stack: Stack, statement: str) -> list[asyncpg.Record]:
    """Of the stack's database."""
    connection = await asyncpg.connect(stack.dsn)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


def memory_mb(pid: int, what: str) -> float:
    """`VmRSS`: of now; `VmHWM`: the most it ever was."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{what}:")[2].split()[0]) / 1024


async def run(events: int, creates: int) -> bool:
    """Whether all went well."""
    outcome = Outcome([], [])
    async with running_stack() as stack:
        await jetstream.ensure(stack.admin, ("bench", "endless", "other"))
        engine = stack.engines[0].pid
        members = await ready_chats(stack, CHATS)
        endless, other = await a_template(stack, "endless"), await a_template(stack, "other")
        await ask(stack.admin, "settings.put", {"settings": SETTINGS | {"builds_per_template": str(LIMIT)}})
        await Provisioner(stack.admin, "other", "gets ready").start()
        at_rest = memory_mb(engine, "VmRSS")
        await flood_of_creates(stack, endless, other, creates, outcome)
        await settled(stack.admin)
        await the_limit_is_full(stack, creates, outcome)
        await flood_of_events(stack, members, other, events, outcome)
        await drain(stack, creates, outcome)
        most = memory_mb(engine, "VmHWM")
        outcome.note(
            f"memory of the engine: {at_rest:.0f} MB at rest, {most:.0f} MB at most", well=most - at_rest < GROWTH_MB
        )
        dead = (await stack.admin.jetstream().stream_info("DEAD")).state.messages
        outcome.note(f"dead letters: {dead}", well=dead == 0)
        violations = await audit(stack.dsn, stack.admin)
        outcome.note(f"violations: {len(violations)} {violations[:3]}", well=not violations)
    return not outcome.faults


def main() -> int:
    """Exit code 1 when something was lost, grew or was held up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--creates", type=int, default=500)
    given = parser.parse_args()
    return 0 if asyncio.run(run(given.events, given.creates)) else 1


if __name__ == "__main__":
    sys.exit(main())
