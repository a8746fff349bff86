"""A chat whose model calls tools, by a clock that stands still, next to the scripted provisioner of the stack."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from nats.aio.client import Client

from tests.e2e.provisioner import Agent, Body, an_agent
from tests.e2e.stack import LIMIT, ORGANIZATION, TEMPLATE, Stack
from tests.fake_clock import FakeClock
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.bus.request import Patience
from workspaced.fsm.commands import Command
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.tools.call import ToolCall
from workspaced.tools.offer import run_tool
from workspaced.tools.result import ToolResult

Running = asyncio.Task[ToolResult]


class NotingClient(WorkspacedClient):
    """Tells when a reply has come."""

    def __init__(self, connection: Client, patience: Patience | None = None, tenant: str | None = None) -> None:
        super().__init__(connection, patience, tenant=tenant)
        self.replies = 0
        self.news = asyncio.Condition()

    async def send(self, command: Command) -> Reply:
        """Noted when it is answered or refused."""
        try:
            return await super().send(command)
        finally:
            async with self.news:
                self.replies += 1
                self.news.notify_all()


class ToolUser:
    """One chat of the stack's owner. `client` is the tools'; a test's own commands go over `stack.client`."""

    def __init__(self, stack: Stack, client: NotingClient) -> None:
        self.stack, self.client = stack, client
        self.provisioner = stack.provisioner
        self.chat_id = str(uuid4())
        self.clock = FakeClock()
        self._before = 0

    # --- tools --------------------------------------------------------------------------------------------------------

    def call(self, call_id: str | None = None, **fields: Any) -> ToolCall:  # noqa: ANN401  # as ToolCall's
        """A call of a tool, as the daemon makes it."""
        known: dict[str, Any] = {
            "client": self.client,
            "chat_id": self.chat_id,
            "owner": self.stack.owner,
            "organization_id": ORGANIZATION,
            "id": call_id or str(uuid4()),
            "clock": self.clock,
        }
        return ToolCall(**known | fields)

    def begin(self, tool: str, call_id: str | None = None, **arguments: object) -> Running:
        """Call a tool and go on; `create_workspace` is given the stack's template and the name `dev`."""
        given = {"template_id": TEMPLATE, "name": "dev"} | arguments if tool == "create_workspace" else arguments
        self._before = self.client.replies
        return asyncio.create_task(run_tool(tool, self.call(call_id), given))

    async def attach_to_build(self, tool: str) -> tuple[Body, Running]:
        """The job of a build under way, and a call of `tool` that waits for its end."""
        await self.stack.engine()
        job, _ = await self.reach(State.BUILDING)
        running = self.begin(tool)
        await self.answered()
        return job, running

    async def run(self, tool: str, call_id: str | None = None, **arguments: object) -> ToolResult:
        """Call a tool, and wait for what it says."""
        async with asyncio.timeout(LIMIT):
            return await self.begin(tool, call_id, **arguments)

    async def give_up(self, running: Running) -> ToolResult:
        """Let `tool_wait` pass, and return what the tool says then."""
        await self.clock.pass_time(22 * 60)
        async with asyncio.timeout(LIMIT):
            return await running

    async def requests(self) -> list[str]:
        """The request ids of the chat's commands that were obeyed, in order."""
        rows = await self.stack.sql(
            "select request_id from workspaced.inputs where chat_id = $1 and request_id is not null order by at",
            self.chat_id,
        )
        return [row["request_id"] for row in rows]

    async def answered(self) -> None:
        """Wait until the tool begun last has the reply to its first command."""
        async with asyncio.timeout(LIMIT), self.client.news:
            await self.client.news.wait_for(lambda: self.client.replies > self._before)

    # --- where the chat is --------------------------------------------------------------------------------------------

    async def seen(self, *states: State, **facts: object) -> Snapshot:
        """Wait until this client, and with it every tool that waits on it, has seen the chat there."""

        def there(snapshot: Snapshot) -> bool:
            workspace = snapshot.workspace
            return snapshot.state in states and all(getattr(workspace, name) == fact for name, fact in facts.items())

        return await self.client.wait_until(self.chat_id, there, timedelta(seconds=LIMIT))

    async def reach(self, state: State, job: Body | None = None, **agent: object) -> tuple[Body, Agent]:
        """Have a workspace `dev` built as far as `state`, from a create if no start job is given."""
        if job is None:
            await self.stack.create(self.chat_id, name="dev")
            job = await self.provisioner.job()
        actor = await self.provisioner.agent(job)
        await self.build_to(state, job, actor, **agent)
        await self.seen(state)
        return job, actor

    async def build_to(self, state: State, job: Body, actor: Agent, **agent: object) -> None:
        """Report what makes it so, and nothing more."""
        order = [State.CREATING, State.BUILDING, State.CONNECTING, State.STARTING, State.READY]
        steps = order.index(state) if state is not State.BINDING else 1
        if steps >= 1:
            await self.provisioner.tell(job, "running")
        if state is State.BINDING:
            await self.provisioner.tell(job, "succeeded")
        if steps >= 2:
            await self.provisioner.tell(job, "succeeded", agents=[an_agent(actor.id, **agent)])
        if steps >= 3:
            await actor.tell("connected")
            await actor.tell("lifecycle", state="starting")
        if steps >= 4:
            await actor.tell("lifecycle", state="ready")

    async def stop(self) -> str:
        """Stop the workspace; the id of the stop build."""
        reply = await self.stack.client.stop(self.chat_id)
        await self.finish(await self.provisioner.job(reply.build_id))
        await self.seen(State.IDLE, job_status="succeeded")
        return reply.build_id or ""

    async def finish(self, job: Body) -> None:
        """Have a stop or delete succeed."""
        await self.provisioner.tell(job, "running")
        await self.provisioner.tell(job, "succeeded")


@asynccontextmanager
async def a_client(stack: Stack) -> AsyncIterator[NotingClient]:
    """A client of a chat daemon."""
    who = stack.server.roles["chatd"]
    async with await NotingClient.connect(
        stack.server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix
    ) as client:
        yield client
