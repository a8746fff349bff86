"""Chat daemons, provisioners and agents, killed or stalled between any two of their steps; another takes over."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from tests.e2e.doomed_client import Given, agent_of
from tests.e2e.provisioner import Agent
from tests.e2e.stack import LIMIT, ORGANIZATION, TEMPLATE, Stack
from workspaced.app.audit import audit
from workspaced.bus import jetstream, streams
from workspaced.bus.moments import AGENT, CHAT_CLIENT, PROVISIONER
from workspaced.fsm.commands import Create

PROGRAM = Path(__file__).parent / "doomed_client.py"
ROLES = {"chat": "chatd", "provisioner": "provisioner", "agent": "agent"}


class Client:
    """A client's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, wanted: str) -> None:
        """Wait for that line."""
        assert self.process.stdout
        async for line in self.process.stdout:
            if line.decode().strip() == wanted:
                return
        raise AssertionError(f"it ended without saying {wanted}")

    async def killed(self) -> None:
        """Wait until it has killed itself."""
        assert await self.process.wait() == -signal.SIGKILL

    async def stalled(self) -> None:
        """Wait until it has stopped itself."""
        await asyncio.to_thread(os.waitid, os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)


@asynccontextmanager
async def client(stack: Stack, role: str, moment: str = "", end: str = "die", **more: object) -> AsyncIterator[Client]:
    """It ends by itself, or with the block."""
    who = stack.server.roles[ROLES[role]]
    given = {"url": stack.server.url, "user": who.user, "password": who.password, "inbox_prefix": who.inbox_prefix}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", PROGRAM, role, moment, end, stdin=pipe, stdout=pipe
    )
    assert process.stdin
    process.stdin.write(msgspec.json.encode(msgspec.convert(given | more, Given)))
    process.stdin.close()
    try:
        async with asyncio.timeout(LIMIT):
            yield Client(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def all_is_well(stack: Stack) -> None:
    """Every invariant holds, and there is one workspace with one build."""
    await stack.decided()
    taken = stack.provisioner.seen
    assert await audit(stack.dsn, stack.admin, taken_jobs=taken) == []
    assert len(await stack.sql("select from workspaced.builds")) == 1


@pytest.mark.parametrize("moment", CHAT_CLIENT)
async def test_a_chat_daemon(stack: Stack, moment: str) -> None:
    """It asks again under the same request id, and has what it would have had."""
    await stack.engine()
    chat = str(uuid4())
    create = Create(
        chat_id=chat, request_id="call-1", owner=stack.owner, organization_id=ORGANIZATION, template_id=TEMPLATE
    )

    async with client(stack, "chat", moment, create=create) as first:
        if moment == "pushed":
            await first.says("watching")
            await stack.provisioner.bring_up(await stack.provisioner.job())
        await first.killed()
    async with client(stack, "chat", create=create) as second:
        await second.says("watching")
        if moment != "pushed":
            await stack.provisioner.bring_up(await stack.provisioner.job())
        await second.says("ready")

    await all_is_well(stack)


async def test_a_chat_daemon_that_stalls(stack: Stack) -> None:
    """It listened and had read nothing yet; when it goes on it is told where the chat stands now."""
    await stack.engine()
    create = Create(
        chat_id=str(uuid4()), request_id="call-1", owner=stack.owner, organization_id=ORGANIZATION, template_id=TEMPLATE
    )

    async with client(stack, "chat", "subscribed", "stall", create=create) as daemon:
        await daemon.stalled()
        await stack.provisioner.bring_up(await stack.provisioner.job())
        await stack.pushes.until(create.chat_id, "ready")
        daemon.process.send_signal(signal.SIGCONT)
        await daemon.says("ready")

    await all_is_well(stack)


async def without_ours(stack: Stack) -> None:
    """Let provisioners of our own have the jobs, for a second at a time."""
    await stack.provisioner.connection.close()
    await jetstream.ensure(stack.admin, ("local",), streams.Limits(job_lease=timedelta(seconds=1)))
    await stack.engine()


async def get_ready(stack: Stack, chat: str) -> None:
    """Be the agent of what was built, once it is."""
    built = await stack.pushes.until(chat, "connecting")
    snapshot = built["snapshot"]
    job = {"workspace": snapshot["workspace"], "build_id": snapshot["build_id"]}
    any_agent = await stack.provisioner.agent(job)
    await Agent(any_agent.connection, any_agent.link["server_id"], job, agent_of(job["build_id"])).get_ready()
    await stack.pushes.until(chat, "ready")


@pytest.mark.parametrize("moment", PROVISIONER)
async def test_a_provisioner(stack: Stack, moment: str) -> None:
    """Another one carries the job out, and what both of them told comes to one build."""
    await without_ours(stack)
    chat = str(uuid4())

    async with client(stack, "provisioner", moment) as first:
        await stack.create(chat)
        await first.killed()
    async with client(stack, "provisioner"):
        await get_ready(stack, chat)

        await all_is_well(stack)


async def test_a_job_that_kills_its_provisioners(stack: Stack) -> None:
    """Given to three that die over it, and not run a fourth time but reported as hung (domain.md section 9, rule 3)."""
    await without_ours(stack)
    chat = str(uuid4())

    await stack.create(chat)
    for _ in range(3):
        async with client(stack, "provisioner", "job_begun") as doomed:
            await doomed.killed()
    async with client(stack, "provisioner"):
        failed = await stack.pushes.until(chat, "failed")

        await all_is_well(stack)

    failure = failed["snapshot"]["failure"]
    assert (failure["phase"], failure["code"]) == ("building", "build_failed")
    assert failure["message"] == "Build has been detected as hung: its provisioner was lost 3 times"


@pytest.mark.parametrize("moment", PROVISIONER[:-1])
async def test_a_provisioner_that_stalls(stack: Stack, moment: str) -> None:
    """It has lost its lease when it goes on, changes nothing any more, and takes the next job."""
    await without_ours(stack)
    chat, next_chat = str(uuid4()), str(uuid4())

    async with client(stack, "provisioner", moment, "stall") as first:
        await stack.create(chat)
        await first.stalled()
        async with client(stack, "provisioner"):
            await get_ready(stack, chat)
        first.process.send_signal(signal.SIGCONT)
        await stack.create(next_chat)
        await get_ready(stack, next_chat)
        await stack.decided()

        assert await audit(stack.dsn, stack.admin) == []
        assert stack.pushes.heard[chat][-1]["to"] == "ready"
        assert len(await stack.sql("select from workspaced.builds")) == 2


async def test_a_provisioner_that_stays_stalled(stack: Stack) -> None:
    """It is given its job once, though it had asked for more: whoever comes has not lost an attempt by that."""
    await without_ours(stack)
    chat = str(uuid4())

    async with client(stack, "provisioner", "job_taken", "stall") as first:
        await stack.create(chat)
        await first.stalled()
        while (queue := await stack.admin.jetstream().consumer_info("JOBS", "local")).num_waiting:
            pass  # it has asked, and what it asked for runs out
        assert queue.delivered
        assert queue.delivered.consumer_seq == 1
        async with client(stack, "provisioner"):
            await get_ready(stack, chat)

            await all_is_well(stack)


@pytest.mark.parametrize("moment", AGENT)
async def test_an_agent(stack: Stack, moment: str) -> None:
    """The process that follows it is the same agent, and the chat gets ready."""
    await stack.engine()
    chat = str(uuid4())
    built = await stack.provisioner.build(await stack.provisioner.job((await stack.create(chat)).build_id))
    named = (built.job["workspace"]["id"], built.id, built.job["build_id"])

    async with client(stack, "agent", moment, agent=named) as first:
        await first.killed()
    async with client(stack, "agent", agent=named, restarted=True) as second:
        await second.says("told")
        await stack.pushes.until(chat, "ready")

        await all_is_well(stack)
