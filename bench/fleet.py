"""Chats that are ready, and agents that flip: the load of the benchmarks, in plain JSON."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
from nats.aio.client import Client
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

    def flip(self) -> tuple[str, bytes, str]:
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


async def ready_chats(stack: Stack, count: int) -> list[Member]:
    """So many chats, created and driven to `ready` by messages, as a provisioner and its agents would."""
    organization = new_id()
    put = await call(
        stack.admin,
        "templates.put",
        {"template": {"organization_id": organization, "name": "bench", "provisioner": "bench"}},
    )
    template = put["template"]
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
            reply = await call(
                stack.admin,
                "create",
                {
                    "chat_id": member.chat,
                    "request_id": "1",
                    "owner": {"id": new_id(), "name": "bench"},
                    "organization_id": organization,
                    "template_id": template["id"],  # type: ignore[index]  # JSON
                },
            )
            await play(stack.admin, pool, member, reply)

    async with asyncpg.create_pool(stack.dsn, min_size=1, max_size=4) as pool, asyncio.timeout(300):
        await asyncio.gather(*(bring_up(member) for member in members))
        await ready.wait()
    await subscription.unsubscribe()
    return members


async def play(client: Client, pool: "asyncpg.Pool[asyncpg.Record]", member: Member, reply: dict[str, object]) -> None:
    """The provisioner's and the agent's messages for a chat that was just created."""
    snapshot = reply["snapshot"]
    member.workspace = snapshot["workspace"]["id"]  # type: ignore[index]  # JSON
    job = await pool.fetchrow(
        "select id::text, build_number, job_id::text from workspaced.builds where workspace_id = $1", member.workspace
    )
    base = {"build_id": job["id"], "build_number": job["build_number"], "job_id": job["job_id"]}
    link = {"server_id": SERVER, "client_id": member.client_id}
    event = f"ws.event.{member.workspace}"
    agent = f"{event}.agent.{member.agent}"
    told = {"agents": [{"id": member.agent, "name": "main"}]}
    member.at = datetime.now(UTC)
    for subject, body in (
        (f"{event}.job.running", base),
        (f"{event}.job.succeeded", base | told),
        (f"{agent}.connected", link | {"at": member.at.isoformat()}),
        (f"{agent}.lifecycle", link | {"state": "ready", "at": member.at.isoformat()}),
    ):
        await client.publish(subject, json.dumps(body).encode())
