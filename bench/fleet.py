"""Chats that are ready, and agents that flip: the load of the benchmarks, in plain JSON."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
from load import Event, counting
from rows import Step, step_of
from stack import Stack, call

SERVER = "BENCH"


def new_id() -> str:
    """A fresh id."""
    return str(uuid.uuid4())


@dataclass
class Member:
    """One chat with its workspace and agent."""

    chat: str = field(default_factory=new_id)
    agent: str = field(default_factory=new_id)
    workspace: str = ""
    client_id: int = 0
    flips: int = 0
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def flip(self) -> Event:
        """Subject, body and id of the next lifecycle report: `starting` and `ready` in turn, each one transition."""
        self.flips += 1
        self.at += timedelta(microseconds=100)
        name = f"{self.agent}:{self.flips}"
        body = {
            "id": name,
            "at": self.at.isoformat(),
            "server_id": SERVER,
            "client_id": self.client_id,
            "state": "starting" if self.flips % 2 else "ready",
        }
        return f"ws.event.{self.workspace}.agent.{self.agent}.lifecycle", json.dumps(body).encode(), name


@dataclass(frozen=True)
class Fleet:
    """Ready chats: `members` for the engine, as many `spare` ones whose rows its rivals write."""

    members: list[Member]
    spare: list[Member]
    steps: list[Step]
    """What the engine wrote when one of them started, and when it was ready again."""

    def flips(self, count: int) -> list[Event]:
        """Lifecycle reports of all members in turn."""
        return [self.members[number % len(self.members)].flip() for number in range(count)]


async def a_fleet(stack: Stack, count: int) -> Fleet:
    """So many members and spare ones; none when `count` is 0."""
    if not count:
        return Fleet([], [], [])
    chats = await ready_chats(stack, 2 * count)
    steps = []
    for _ in range(2):
        await flip_and_wait(stack, chats[-1])
        steps.append(await step_of(stack.dsn, chats[-1].chat))
    return Fleet(chats[:count], chats[count:], steps)


@dataclass(frozen=True)
class Template:
    """What chats are made of."""

    organization: str
    id: str


async def a_template(stack: Stack) -> Template:
    """A new one, whose provisioner is the benchmark."""
    organization = new_id()
    template = {"organization_id": organization, "name": "bench", "provisioner": "bench"}
    put = await call(stack.admin, "templates.put", {"template": template})
    return Template(organization, put["template"]["id"])  # type: ignore[index]  # JSON


async def flip_and_wait(stack: Stack, member: Member) -> None:
    """One lifecycle report; returns when its transition is announced."""
    subject, body, _ = member.flip()
    async with counting(stack.admin, f"ws.chat.{member.chat}.*", 1):
        await stack.admin.publish(subject, body)


async def ready_chats(stack: Stack, count: int, template: Template | None = None) -> list[Member]:
    """So many chats, created and driven to `ready` by messages, as a provisioner and its agents would."""
    template = template or await a_template(stack)
    members = [Member(client_id=number + 1) for number in range(count)]
    ready = asyncio.Event()
    waiting = {member.chat for member in members}

    async def on_ready(message: object) -> None:
        waiting.discard(message.subject.split(".")[2])  # type: ignore[attr-defined]  # a nats Msg
        if not waiting:
            ready.set()

    subscription = await stack.admin.subscribe("ws.chat.*.ready", cb=on_ready)
    room = asyncio.Semaphore(32)

    async def bring_up(member: Member) -> None:
        async with room:
            for subject, body in await begun(stack, pool, member, template):
                await stack.admin.publish(subject, body)

    async with asyncpg.create_pool(stack.dsn, min_size=1, max_size=4) as pool, asyncio.timeout(300):
        await asyncio.gather(*(bring_up(member) for member in members))
        await ready.wait()
    await subscription.unsubscribe()
    return members


async def begun(
    stack: Stack, pool: "asyncpg.Pool[asyncpg.Record]", member: Member, template: Template
) -> list[tuple[str, bytes]]:
    """Ask for the workspace of `member`; what provisioner and agent have to say until it is ready, in order."""
    wanted = {
        "chat_id": member.chat,
        "request_id": "1",
        "owner": {"id": new_id(), "name": "bench"},
        "organization_id": template.organization,
        "template_id": template.id,
    }
    reply = await call(stack.admin, "create", wanted)
    member.workspace = reply["snapshot"]["workspace"]["id"]  # type: ignore[index]  # JSON
    job = await pool.fetchrow(
        "select id::text, build_number, job_id::text from workspaced.builds where workspace_id = $1", member.workspace
    )
    base = {"build_id": job["id"], "build_number": job["build_number"], "job_id": job["job_id"]}
    link = {"server_id": SERVER, "client_id": member.client_id}
    event = f"ws.event.{member.workspace}"
    agent = f"{event}.agent.{member.agent}"
    told = {"agents": [{"id": member.agent, "name": "main"}]}
    member.at = datetime.now(UTC)
    said = (
        (f"{event}.job.running", base),
        (f"{event}.job.succeeded", base | told),
        (f"{agent}.connected", link | {"at": member.at.isoformat()}),
        (f"{agent}.lifecycle", link | {"state": "ready", "at": member.at.isoformat()}),
    )
    return [(subject, json.dumps(body).encode()) for subject, body in said]
