"""An engine that is killed between any two steps of a batch: nothing lost, nothing doubled, everything said."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.e2e.provisioner import Agent, Body, an_agent
from tests.e2e.stack import LIMIT, Stack
from workspaced.app.moments import AT

PROGRAM = Path(__file__).parent / "doomed.py"
NAMES = ("created", "running", "succeeded", "connected", "ready", "stopped", "overdue", "canceled")
"""What happens to each of the chats."""


@pytest.fixture
def ack_wait() -> timedelta:
    """Short: what the dead engine held comes again after that."""
    return timedelta(seconds=1)


@asynccontextmanager
async def doomed(stack: Stack, moment: str = "", number: int = 1) -> AsyncIterator[asyncio.subprocess.Process]:
    """An engine process that dies by SIGKILL: its own, or ours at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        PROGRAM,
        moment,
        str(number),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(msgspec.json.encode(stack.config()))
    process.stdin.close()
    try:
        async with asyncio.timeout(LIMIT):
            if not moment:  # else it may be dead before it says so
                assert await process.stdout.readline() == b"serving\n"
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        assert await process.wait() == -signal.SIGKILL


class Flow:
    """Eight chats, each one step before something happens to it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.chats = {name: str(uuid4()) for name in NAMES}
        self.jobs: dict[str, Body] = {}
        self.agents: dict[str, Agent] = {}

    async def prepare(self) -> None:
        """Bring them there, with an engine that is gone afterwards."""
        engine, actors = await self.stack.engine(), self.stack.provisioner
        for name in NAMES[1:]:
            job = self.jobs[name] = await actors.job((await self.stack.create(self.chats[name])).build_id)
            agent = self.agents[name] = await actors.agent(job)
            if name in {"succeeded", "connected", "ready", "stopped", "canceled"}:
                await actors.tell(job, "running")
            if name in {"connected", "ready", "stopped"}:
                await actors.tell(job, "succeeded", agents=[an_agent(agent.id)])
            if name in {"ready", "stopped"}:
                await agent.tell("connected")
            if name == "stopped":
                await agent.tell("lifecycle", state="ready")
        await self.stack.decided()
        await self.stack.stop(engine)

    async def happen(self) -> None:
        """Put on the streams what is to be decided."""
        chats, actors = self.chats, self.stack.provisioner
        await self.stack.put_command("create", self.stack.a_create(chats["created"]))
        await actors.tell(self.jobs["running"], "running")
        agent = self.agents["succeeded"]
        await actors.tell(agent.job, "succeeded", agents=[an_agent(agent.id)])
        await self.agents["connected"].tell("connected")
        await self.agents["ready"].tell("lifecycle", state="ready")
        await self.stack.put_command("stop", {"chat_id": chats["stopped"]})
        due = json.dumps({"type": "chat", "chat_id": chats["overdue"], "version": 1}).encode()
        await self.stack.admin.jetstream().publish(f"ws.due.chat.{chats['overdue']}", due)
        await self.stack.put_command("cancel", {"chat_id": chats["canceled"]})

    async def ends(self) -> dict[str, list[str]]:
        """By name where each chat went, by what, from its rows."""
        rows = await self.stack.sql(
            """select chat_id::text, array_agg(to_state order by version) as path, max(version) - count(*) as missing
               from workspaced.transitions group by chat_id"""
        )
        assert {row["missing"] for row in rows} == {0}
        paths = {row["chat_id"]: row["path"] for row in rows}
        return {name: paths[chat] for name, chat in self.chats.items()}


TO_READY = ["creating", "building", "binding", "connecting", "starting", "ready"]
ENDS = {
    "created": TO_READY[:1],
    "running": TO_READY[:2],
    "succeeded": TO_READY[:4],
    "connected": TO_READY[:5],
    "ready": TO_READY,
    "stopped": [*TO_READY, "idle"],
    "overdue": ["creating", "failed"],
    "canceled": ["creating", "building", "building"],
}


@pytest.fixture
async def flow(stack: Stack) -> Flow:
    """Everything is about to happen, and no engine runs."""
    flow = Flow(stack)
    await flow.prepare()
    await flow.happen()
    return flow


@pytest.mark.parametrize("moment", AT)
async def test_killed(stack: Stack, flow: Flow, moment: str) -> None:
    """Whatever the moment, the next engine brings every chat where it belongs, and each thing is said once."""
    async with doomed(stack, moment, len(NAMES)) as process:
        await process.wait()

    await stack.engine()
    for name, chat in flow.chats.items():
        await stack.pushes.until(chat, ENDS[name][-1], after=len(ENDS[name]) - 1)
    await stack.decided()

    assert await flow.ends() == ENDS
    await everything_is_said(stack)
    assert len(await stack.sql("select from workspaced.builds")) == len(NAMES) + 1
    for_one = [await stack.provisioner.job() for _ in range(2)]
    assert sorted(job["transition"] for job in for_one) == ["start", "stop"]
    assert (await stack.provisioner.canceled(flow.jobs["canceled"]))["reason"] == "canceled"


async def everything_is_said(stack: Stack) -> None:
    """Each row was announced once, each deadline in force is armed, no job was queued twice."""
    rows = await stack.sql("select chat_id || ':' || version as id from workspaced.transitions")
    pushes = [kept.headers["Nats-Msg-Id"] for kept in await stack.stored("CHATS")]
    assert sorted(pushes) == sorted(row["id"] for row in rows)
    armed = {kept.subject: kept.json().get("version") for kept in await stack.stored("TIMERS")}
    deadlines = await stack.sql("select id::text, deadline_version from workspaced.chats where deadline_at is not null")
    wanted = {f"ws.timer.chat.{row['id']}": row["deadline_version"] for row in deadlines}
    assert {subject: armed.get(subject) for subject in wanted} == wanted
    assert stack.provisioner.doubled == []


async def test_killed_beside_another(stack: Stack) -> None:
    """Of two engines one is killed while fifty chats are on their way; the other takes over, and all are ready."""
    chats = [str(uuid4()) for _ in range(50)]
    halfway = asyncio.Event()
    done: list[str] = []

    async def go(chat: str) -> None:
        reply = await stack.create(chat, request_id=chat)
        while reply.outcome == "queued":
            reply = await stack.create(chat, request_id=chat)
        await stack.provisioner.bring_up(await stack.provisioner.job(reply.build_id))
        await stack.pushes.until(chat, "ready")
        done.append(chat)
        if len(done) == 10:
            halfway.set()

    async with asyncio.TaskGroup() as group, doomed(stack):
        await stack.engine()
        for chat in chats:
            group.create_task(go(chat))
        await halfway.wait()

    await stack.decided()
    await everything_is_said(stack)
    assert len(await stack.sql("select from workspaced.workspaces")) == len(chats)
