"""A scripted provisioner and the agents of what it builds: plain NATS and JSON, one step at a time."""

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.servers import Connections
from workspaced.bus.connection import flush

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

LIMIT = 30.0
"""Seconds; a safety net."""
_EXPIRES = 600_000_000_000

Body = dict[str, Any]


def an_agent(agent_id: str, **fields: object) -> Body:
    """An agent as `job.succeeded` tells it."""
    return {"id": agent_id, "name": "main"} | fields


def now() -> str:
    """RFC 3339."""
    return datetime.now(UTC).isoformat()


class Agent:
    """One agent over a connection of its own or a shared one."""

    def __init__(self, connection: Client, server_id: str, job: Body, agent_id: str) -> None:
        self.connection, self.job, self.id = connection, job, agent_id
        self.link: Body = {"server_id": server_id, "client_id": connection.client_id}

    async def tell(self, kind: str, **fields: object) -> None:
        """Report; returns when it is stored."""
        body = {"id": str(uuid4()), "at": now(), "build_id": self.job["build_id"]} | self.link | fields
        subject = f"ws.event.{self.job['workspace']['id']}.agent.{self.id}.{kind}"
        await self.connection.jetstream().publish(subject, json.dumps(body).encode())

    async def get_ready(self) -> None:
        """Connect, start, be ready."""
        await self.tell("connected")
        await self.tell("lifecycle", state="starting")
        await self.tell("lifecycle", state="ready")


class Provisioner:
    """Takes every job of tag `local` and keeps it until the test asks for it."""

    def __init__(self, connection: Client, connect: Connections) -> None:
        self.connection, self._connect = connection, connect
        self._agents: Client | None = None
        self._news = asyncio.Condition()
        self._jobs: list[Body] = []
        self.seen: set[str] = set()
        """The ids of all jobs that came."""
        self.doubled: list[Body] = []
        """Jobs that were on the queue before."""
        self.cancels: list[Body] = []
        self.resyncs: list[str] = []
        self._subscription: Subscription

    async def start(self) -> Self:
        """Ask for jobs and listen for cancels."""
        inbox = self.connection.new_inbox()
        await self.connection.subscribe(inbox, cb=self._on_job)
        await self.connection.subscribe("ws.cancel.*", cb=self._on_cancel)
        await self.connection.subscribe("ws.resync", cb=self._on_resync)
        await self.connection.subscribe("ws.resync.*", cb=self._on_resync)
        self._inbox = inbox
        await self.ask()
        return self

    async def ask(self) -> None:
        """Ask for jobs; anew when the server is another one."""
        wish = json.dumps({"batch": 10_000, "expires": _EXPIRES}).encode()
        await self.connection.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.local", wish, reply=self._inbox)
        await flush(self.connection)

    async def job(self, build_id: str | None = None) -> Body:
        """The job of that build, or the next one; it is taken once."""
        async with self._news, asyncio.timeout(LIMIT):
            while True:
                for job in self._jobs:
                    if build_id in {None, job["build_id"]}:
                        self._jobs.remove(job)
                        return job
                await self._news.wait()

    async def canceled(self, job: Body) -> Body:
        """What is said when the job is to be stopped."""
        async with self._news, asyncio.timeout(LIMIT):
            while True:
                for cancel in self.cancels:
                    if cancel["job_id"] == job["job_id"]:
                        return cancel
                await self._news.wait()

    async def resynced(self, subject: str = "ws.resync") -> None:
        """Wait until everybody was asked to tell again."""
        async with self._news, asyncio.timeout(LIMIT):
            await self._news.wait_for(lambda: subject in self.resyncs)

    async def tell(self, job: Body, status: str, **fields: object) -> None:
        """Report on a job; returns when it is stored."""
        ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
        body = {"id": str(uuid4()), "at": now()} | ids | fields
        subject = f"ws.event.{job['workspace']['id']}.job.{status}"
        await self.connection.jetstream().publish(subject, json.dumps(body).encode())

    async def announce(self, job: Body, build: Body) -> None:
        """Tell of a build of that workspace that somebody else began."""
        subject = f"ws.event.{job['workspace']['id']}.build.created"
        await self.connection.jetstream().publish(
            subject, json.dumps({"id": str(uuid4()), "at": now()} | build).encode()
        )

    async def build(self, job: Body) -> Agent:
        """Do the job; the agent it brought, not connected yet."""
        agent = await self.agent(job)
        await self.tell(job, "running", worker="tests")
        await self.tell(job, "succeeded", agents=[an_agent(agent.id)] if job["transition"] == "start" else [])
        return agent

    async def bring_up(self, job: Body) -> Agent:
        """Do a start job and have its agent get ready."""
        agent = await self.build(job)
        await agent.get_ready()
        return agent

    async def agent(self, job: Body, *, own: bool = False) -> Agent:
        """An agent for a job, over the connection that all agents share or over its `own`."""
        if own or self._agents is None:
            connection = await self._connect("agent")
            if not own:
                self._agents = connection
        else:
            connection = self._agents
        answer = await connection.request("$SYS.REQ.USER.INFO", b"", timeout=LIMIT)
        return Agent(connection, json.loads(answer.data)["server"]["id"], job, str(uuid4()))

    async def _on_job(self, message: Msg) -> None:
        if message.reply:  # status lines have none
            await message.ack()
            job = json.loads(message.data)
            async with self._news:
                (self.doubled if job["job_id"] in self.seen else self._jobs).append(job)
                self.seen.add(job["job_id"])
                self._news.notify_all()

    async def _on_cancel(self, message: Msg) -> None:
        async with self._news:
            self.cancels.append(json.loads(message.data))
            self._news.notify_all()

    async def _on_resync(self, message: Msg) -> None:
        async with self._news:
            self.resyncs.append(message.subject)
            self._news.notify_all()
