"""One chat's whole way over the bus, every step played by the test."""

from uuid import uuid4

import pytest

from tests.e2e.stack import Stack
from workspaced.fsm.errors import Conflict


@pytest.fixture
async def running(stack: Stack) -> Stack:
    """A stack with an engine."""
    await stack.engine()
    return stack


async def test_from_nothing_to_ready(running: Stack) -> None:
    """Every transition is pushed once, in order, with its cause, and kept."""
    chat = str(uuid4())

    reply = await running.create(chat)
    job = await running.provisioner.job(reply.build_id)
    agent = await running.provisioner.agent(job)
    await running.provisioner.tell(job, "running", worker="tests")
    await running.pushes.until(chat, "building")
    await running.provisioner.tell(job, "succeeded", agents=[{"id": agent.id, "name": "main"}])
    await running.pushes.until(chat, "connecting")
    await agent.tell("connected")
    await running.pushes.until(chat, "starting")
    await agent.tell("lifecycle", state="starting")
    await running.pushes.until(chat, lambda push: push["snapshot"]["lifecycle"] == "starting")
    await agent.tell("lifecycle", state="ready")
    last = await running.pushes.until(chat, "ready")

    assert reply.outcome == "accepted"
    assert running.pushes.path(chat) == [
        ("idle", "creating", "create"),
        ("creating", "building", "job.running"),
        ("building", "binding", "job.succeeded"),
        ("binding", "connecting", "job.succeeded"),
        ("connecting", "starting", "agent.connected"),
        ("starting", "starting", "agent.lifecycle"),
        ("starting", "ready", "agent.lifecycle"),
    ]
    assert running.pushes.versions(chat) == [1, 2, 3, 4, 5, 6, 7]
    history = await running.client.history(chat)
    assert [(row.from_state, row.to_state, row.cause.event) for row in history.transitions] == running.pushes.path(chat)
    assert last["snapshot"]["agent_id"] == agent.id
    assert last["snapshot"]["build_id"] == reply.build_id


async def test_asked_again(running: Stack) -> None:
    """A chat that has a workspace gets it back, whatever the request is called."""
    chat = str(uuid4())
    first = await running.ready(chat)

    second = await running.create(chat)

    assert second.outcome == "exists"
    assert first.snapshot
    assert second.snapshot
    assert first.snapshot.workspace
    assert second.snapshot.workspace
    assert second.snapshot.workspace.id == first.snapshot.workspace.id
    assert len(await running.sql("select from workspaced.workspaces")) == 1


async def test_asked_twice_on_the_way(running: Stack) -> None:
    """While it is on its way a second create is attached, and nothing is built twice."""
    chat = str(uuid4())
    first = await running.create(chat)

    second = await running.create(chat)

    assert (first.outcome, second.outcome) == ("accepted", "attached")
    assert first.build_id == second.build_id
    assert len(await running.sql("select from workspaced.builds")) == 1


async def test_the_same_request_again(running: Stack) -> None:
    """A repeated request_id gets the stored answer with the snapshot of now; another content is refused."""
    chat, request = str(uuid4()), str(uuid4())
    first = await running.create(chat, request_id=request)
    await running.provisioner.bring_up(await running.provisioner.job(first.build_id))
    await running.pushes.until(chat, "ready")

    again = await running.create(chat, request_id=request)
    with pytest.raises(Conflict) as refused:
        await running.client.stop(chat, request_id=request)

    assert again.replayed
    assert (again.outcome, again.build_id) == (first.outcome, first.build_id)
    assert again.snapshot
    assert again.snapshot.state == "ready"
    assert refused.value.code == "request_id_reused"


async def test_stop_and_start(running: Stack) -> None:
    """A stopped workspace is kept, told as stopped, and started by a build of its own."""
    chat = str(uuid4())
    await running.ready(chat)

    stopping = await running.client.stop(chat)
    assert stopping.snapshot
    job, since = await running.provisioner.job(stopping.build_id), stopping.snapshot.version
    await running.provisioner.tell(job, "running")
    await running.pushes.until(chat, "idle", after=since)
    await running.provisioner.tell(job, "succeeded", agents=[])
    stopped = await running.pushes.until(chat, "idle", after=since + 1)
    asked = await running.create(chat)
    starting = await running.client.start(chat)
    await running.provisioner.bring_up(await running.provisioner.job(starting.build_id))
    ready = await running.pushes.until(chat, "ready", after=stopped["version"])

    assert [stopping.outcome, asked.outcome, starting.outcome] == ["accepted", "stopped", "accepted"]
    assert running.pushes.path(chat)[since - 1 :][:4] == [
        ("ready", "idle", "stop"),
        ("idle", "idle", "job.running"),
        ("idle", "idle", "job.succeeded"),
        ("idle", "creating", "start"),
    ]
    assert ready["snapshot"]["workspace"]["build_number"] == 3


async def test_restart(running: Stack) -> None:
    """The start follows the stop by itself."""
    chat = str(uuid4())
    await running.ready(chat)

    restart = await running.client.restart(chat)
    await running.provisioner.build(await running.provisioner.job(restart.build_id))
    following = await running.provisioner.job()
    await running.provisioner.bring_up(following)
    ready = await running.pushes.until(chat, "ready", after=8)

    assert restart.outcome == "accepted"
    assert restart.snapshot
    assert restart.snapshot.workspace
    assert restart.snapshot.workspace.next == "start"
    assert (following["transition"], following["build_number"]) == ("start", 3)
    assert ready["snapshot"]["build_id"] == following["build_id"]


async def test_delete(running: Stack) -> None:
    """The workspace stays in the snapshot as deleted until the next create makes another one."""
    chat = str(uuid4())
    first = await running.ready(chat)

    delete = await running.client.delete(chat)
    await running.provisioner.build(await running.provisioner.job(delete.build_id))
    deleted = await running.pushes.until(chat, lambda push: push["snapshot"]["workspace"]["deleted"])
    second = await running.create(chat)

    assert delete.outcome == "accepted"
    assert (deleted["to"], deleted["snapshot"]["build_id"]) == ("idle", None)
    assert first.snapshot
    assert second.snapshot
    assert first.snapshot.workspace
    assert second.snapshot.workspace
    assert second.snapshot.workspace.id != first.snapshot.workspace.id


async def test_cancel_while_nobody_took_the_job(stack: Stack) -> None:
    """The job leaves the queue, the chat fails at once."""
    await stack.engine()
    await stack.provisioner.connection.close()  # nobody there
    chat = str(uuid4())
    await stack.create(chat)
    queued = len(await stack.stored("JOBS"))

    cancel = await stack.client.cancel(chat)

    assert cancel.outcome == "accepted"
    assert cancel.snapshot
    assert cancel.snapshot.failure
    assert cancel.snapshot.failure.code == "build_canceled"
    assert (queued, len(await stack.stored("JOBS"))) == (1, 0)


async def test_cancel_while_it_builds(running: Stack) -> None:
    """The provisioner is told, the chat waits for its word, and a success that comes too late is cleaned up."""
    chat = str(uuid4())
    job = await running.provisioner.job((await running.create(chat)).build_id)
    await running.provisioner.tell(job, "running")
    await running.pushes.until(chat, "building")

    await running.client.cancel(chat)
    told = await running.provisioner.canceled(job)
    await running.provisioner.tell(job, "succeeded", agents=[])
    clean_up = await running.provisioner.job()

    assert told["reason"] == "canceled"
    assert (clean_up["transition"], clean_up["workspace"]["id"]) == ("delete", job["workspace"]["id"])
    last = await running.pushes.until(chat, "idle")
    assert last["cause"]["event"] == "cleanup"


async def test_a_job_that_fails(running: Stack) -> None:
    """The chat fails with the provisioner's own words, and the next create begins anew."""
    chat = str(uuid4())
    job = await running.provisioner.job((await running.create(chat)).build_id)

    await running.provisioner.tell(job, "running")
    await running.provisioner.tell(job, "failed", error="no such image", retryable=False)
    failed = await running.pushes.until(chat, "failed")
    again = await running.create(chat)

    assert failed["snapshot"]["failure"] == {
        "phase": "building",
        "code": "build_failed",
        "message": "no such image",
        "retryable": False,
        "quota": None,
    }
    assert again.outcome == "accepted"
    transitions = {row["transition"] for row in await running.sql("select transition from workspaced.builds")}
    assert transitions == {"start", "delete"}
