"""Every row of domain.md 3.6 on real servers: the exact object."""

import pytest

from tests.e2e.provisioner import Body
from tests.e2e.tool_user import Running, ToolUser
from workspaced.fsm.state import State
from workspaced.tools.result import ToolResult

STOPPED = {"stopped": True, "workspace_name": "dev"}
DELETED = ToolResult("workspace was deleted; use create_workspace to make a new one", is_error=True)


async def test_no_workspace(user: ToolUser) -> None:
    """The text of the command."""
    await user.stack.engine()

    assert await user.run("stop_workspace") == ToolResult(
        "chat has no workspace; use create_workspace first", is_error=True
    )


async def test_stopped_already(user: ToolUser) -> None:
    """Nothing is built."""
    await user.stack.engine()
    await user.reach(State.READY)
    await user.stop()

    assert await user.run("stop_workspace") == ToolResult(STOPPED | {"no_build": True})


async def accepted(user: ToolUser) -> tuple[Body, Running]:
    """A stop of a running workspace on its way."""
    await user.stack.engine()
    await user.reach(State.READY)
    running = user.begin("stop_workspace", "R")
    job = await user.provisioner.job()
    await user.answered()
    return job, running


async def test_accepted(user: ToolUser) -> None:
    """The stop build is named."""
    job, running = await accepted(user)
    await user.finish(job)

    assert await running == ToolResult(STOPPED | {"build_id": job["build_id"]})


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        ("failed", "disk is busy", "disk is busy"),
        ("failed", "", "build failed"),
        ("canceled", "", "build was canceled"),
    ],
)
async def test_accepted_not_succeeded(user: ToolUser, status: str, error: str, text: str) -> None:
    """Why the workspace may still run."""
    job, running = await accepted(user)
    await user.provisioner.tell(job, status, error=error)

    assert await running == ToolResult({"error": f"workspace stop build failed: {text}", "build_id": job["build_id"]})


async def test_accepted_and_the_wait_ends(user: ToolUser) -> None:
    """The machine goes on: the next call finds it stopped."""
    job, running = await accepted(user)
    since = (await user.client.get(user.chat_id)).entered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert await user.give_up(running) == ToolResult(
        {
            "error": f"workspace stop build failed: timed out waiting for workspace build: idle since {since}",
            "build_id": job["build_id"],
        }
    )

    await user.finish(job)
    await user.seen(State.IDLE, job_status="succeeded")

    assert await user.run("stop_workspace", "R") == ToolResult(STOPPED | {"build_id": job["build_id"]})
    assert await user.run("stop_workspace") == ToolResult(STOPPED | {"no_build": True})


async def test_repeated_after_a_new_start(user: ToolUser) -> None:
    """A call that is made again does not stop what was started since."""
    job, running = await accepted(user)
    await user.finish(job)
    result = await running
    reply = await user.stack.client.start(user.chat_id)
    await user.reach(State.READY, await user.provisioner.job(reply.build_id))

    assert await user.run("stop_workspace", "R") == result
    assert (await user.client.get(user.chat_id)).state is State.READY


async def attached(user: ToolUser) -> tuple[Body, Running]:
    """A stop in flight, and another one that waits for it."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.stop(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("stop_workspace", "R")
    await user.answered()
    return job, running


async def test_attached(user: ToolUser) -> None:
    """Somebody else's stop ends well: it was waited for, so it is named."""
    job, running = await attached(user)
    await user.finish(job)

    assert await running == ToolResult(STOPPED | {"build_id": job["build_id"]})
    assert (await user.requests())[-2:] == ["R", "R.2"]


async def test_attached_to_one_that_fails(user: ToolUser) -> None:
    """After it a new stop is tried."""
    job, running = await attached(user)
    await user.provisioner.tell(job, "failed", error="disk is busy")
    again = await user.provisioner.job()
    await user.finish(again)

    assert await running == ToolResult(STOPPED | {"build_id": again["build_id"]})


async def test_attached_and_the_wait_ends(user: ToolUser) -> None:
    """The prefix of a build that somebody else began."""
    job, running = await attached(user)
    since = (await user.client.get(user.chat_id)).entered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert await user.give_up(running) == ToolResult(
        {
            "error": f"waiting for in-progress build: timed out waiting for workspace build: idle since {since}",
            "build_id": job["build_id"],
        }
    )


@pytest.mark.parametrize("well", [True, False])
async def test_conflict_with_a_start(user: ToolUser, well: bool) -> None:
    """The build in flight is waited for, however it ends; then the workspace is stopped."""
    await user.stack.engine()
    start, agent = await user.reach(State.BUILDING)
    running = user.begin("stop_workspace")
    await user.answered()
    if well:
        await user.build_to(State.CONNECTING, start, agent)
    else:
        await user.provisioner.tell(start, "failed", error="no space left")
    stop = await user.provisioner.job()
    await user.finish(stop)

    assert stop["transition"] == "stop"
    assert await running == ToolResult(STOPPED | {"build_id": stop["build_id"]})


async def test_conflict_with_a_delete(user: ToolUser) -> None:
    """After it there is nothing to stop."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.delete(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("stop_workspace")
    await user.answered()
    await user.finish(job)

    assert await running == DELETED


async def test_conflict_with_a_delete_that_fails(user: ToolUser) -> None:
    """Then it can be stopped still."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.delete(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("stop_workspace")
    await user.answered()
    await user.provisioner.tell(job, "failed", error="disk is busy")
    stop = await user.provisioner.job()
    await user.finish(stop)

    assert await running == ToolResult(STOPPED | {"build_id": stop["build_id"]})


async def test_interrupted(user: ToolUser) -> None:
    """A canceled turn is told how far it got."""
    job, running = await accepted(user)
    running.cancel()
    content = (await running).content
    assert isinstance(content, dict)

    assert str(content["error"]).startswith("workspace stop build failed: timed out waiting for workspace build: idle ")
    assert content["build_id"] == job["build_id"]
