"""Provisioners that are limited to their tag: their user as docs/security.md has it, and reports in their name."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.e2e.stack import ORGANIZATION, Stack
from tests.permission_table import snippet
from tests.servers import Connections, running, server_with_shared_agent, user_nkey
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import jetstream
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport

if TYPE_CHECKING:
    from nats.aio.client import Client

SEED, PUBLIC = user_nkey()
SOME_ID = str(uuid4())


@pytest.fixture(scope="module")
def nats_server() -> Iterator[NatsServer]:
    """A server with this user."""
    users = snippet("tagged-provisioner").replace("U…", PUBLIC)
    with running(lambda folder: server_with_shared_agent(folder, users=users, names=(PUBLIC,))) as server:
        yield server


@pytest.fixture
async def gpu(stack: Stack, connect: Connections) -> "Client":
    """A connection as this user; there are queues of both tags."""
    await jetstream.ensure(stack.admin, ("local", "gpu"))
    return await connect.by_nkey(SEED, "_INBOX_gpu")


async def test_a_provisioner_speaks_for_its_own_tag(stack: Stack) -> None:
    """A report in another tag's name goes to DEAD, one in the build's own counts."""
    await stack.engine()
    chat_id = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
    ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    subject = f"ws.event.{job['workspace']['id']}.job"
    for status, tag in (("failed", "gpu"), ("running", "local")):
        await stack.admin.jetstream().publish(f"{subject}.{status}.{tag}", json.dumps(ids).encode())

    push = await stack.pushes.until(chat_id, "building")
    await stack.decided()
    (dead,) = await stack.stored("DEAD")

    assert push["cause"]["event"] == "job.running"
    assert (dead.subject, dead.headers["Ws-Dead-Reason"]) == (f"ws.dead.{subject}.failed.gpu", "mismatch")


async def test_it_does_the_jobs_of_its_tag(stack: Stack, gpu: "Client") -> None:
    """All that the client says and hears is granted; the other tag's job goes to the other provisioner."""
    await stack.engine()
    put = await stack.client.put_template({"organization_id": ORGANIZATION, "name": "large", "provisioner": "gpu"})
    taken: list[str] = []

    async def build(job: Job, hand: JobInHand) -> Sequence[AgentReport]:
        taken.append(job.build_id)
        hand.log("build", "info", "made")
        return [AgentReport(str(uuid4()), "main")]

    client = ProvisionerClient(gpu, "gpu", by_tag=True)
    working = asyncio.create_task(client.run(build))
    chats = [str(uuid4()), str(uuid4())]
    other = await stack.create(chats[0])
    reply = await stack.create(chats[1], template_id=put.template.id)
    push = await stack.pushes.until(chats[1], "connecting")
    await stack.provisioner.build(await stack.provisioner.job(other.build_id))
    await stack.pushes.until(chats[0], "connecting")
    await client.drain()
    await working

    assert push["cause"]["event"] == "job.succeeded"
    assert taken == [reply.build_id]
    assert [line.output for line in (await stack.client.logs(str(reply.build_id))).lines] == ["made"]


def of_another_tag(workspace_id: str = SOME_ID) -> list[str]:
    """What a provisioner of tag `local` may say, and what none may."""
    event = f"ws.event.{workspace_id}"
    return [
        *(f"{event}.job.{status}{tag}" for status in ("running", "succeeded", "failed") for tag in ("", ".local")),
        f"{event}.build.created",
        f"{event}.agent.{SOME_ID}.connected",
        "$JS.API.CONSUMER.MSG.NEXT.JOBS.local",
        "$JS.API.CONSUMER.INFO.JOBS.local",
        "$JS.API.CONSUMER.CREATE.JOBS",
        "$JS.API.STREAM.MSG.GET.JOBS",
        "$JS.API.DIRECT.GET.JOBS",
        "$JS.API.STREAM.PURGE.JOBS",
        "$JS.ACK.JOBS.local.1.2.3.4.5",
        f"ws.job.local.{SOME_ID}",
        f"ws.cancel.{SOME_ID}",
        f"ws.cmd.{SOME_ID}.delete",
        "ws.api.list",
    ]


async def test_what_it_may_not_say(gpu: "Client", connect: Connections) -> None:
    """Another tag's jobs, acknowledgements and reports, by NATS."""
    said = []
    for subject in (*of_another_tag(), f"ws.event.{SOME_ID}.job.running.gpu", "$JS.ACK.JOBS.gpu.1.2.3.4.5"):
        await gpu.publish(subject, b"{}")
        if not await connect.refusals(gpu):
            said.append(subject)

    assert said == [f"ws.event.{SOME_ID}.job.running.gpu", "$JS.ACK.JOBS.gpu.1.2.3.4.5"]


@pytest.mark.parametrize("subject", ["ws.job.>", "ws.event.>", "ws.log.>", "ws.chat.>", "_INBOX_provisioner.>", ">"])
async def test_what_it_may_not_hear(gpu: "Client", connect: Connections, subject: str) -> None:
    """Jobs but by its queue, others' reports, logs and answers."""
    await gpu.subscribe(subject)

    assert len(await connect.refusals(gpu)) == 1
