"""Every row of domain.md 3.3 and 3.4 on real servers: the exact object."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.provisioner import an_agent
from tests.e2e.tool_user import ToolUser
from workspaced.fsm.state import State
from workspaced.tools.result import ToolResult

CREATED = {"created": True, "workspace_name": "ada/dev"}
EXISTS = {"created": False, "workspace_name": "dev", "status": "already_exists"}
COMPLETED = EXISTS | {"message": "workspace build completed"}
CONNECTING = EXISTS | {"message": "workspace exists and the agent is still connecting"}
RUNNING = EXISTS | {"message": "workspace is already running and recently connected"}
STOPPED = {
    "created": False,
    "workspace_name": "dev",
    "status": "stopped",
    "message": "workspace is stopped; use start_workspace to start it",
}
QUOTA = {
    "error_code": "INSUFFICIENT_QUOTA",
    "title": "Workspace quota reached",
    "message": "workspaced could not create this workspace because your workspace quota is full. Delete a workspace "
    "you no longer need, or ask an administrator to raise your group quota allowance.",
    "quota": {"credits_consumed": 12, "budget": 10},
}
AMBIGUOUS = (
    'multiple agents match the chat suffix "-coderd-chat": a-coderd-chat, b-coderd-chat; '
    "only one agent should use this suffix"
)
SHORT = timedelta(milliseconds=50)


def two_agents() -> list[dict[str, Any]]:
    """Nobody can choose between them."""
    return [an_agent(str(uuid4()), name=f"{letter}-coderd-chat") for letter in "ab"]


# --- accepted ---------------------------------------------------------------------------------------------------------


async def test_accepted(user: ToolUser) -> None:
    """Nothing but the build is added when all is well."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)

    assert await running == ToolResult(CREATED | {"build_id": job["build_id"]})


async def test_accepted_build_failed(user: ToolUser) -> None:
    """A failure with structure is no error."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "running")
    await user.provisioner.tell(job, "failed", error="no space left")

    assert await running == ToolResult({"error": "workspace build failed: no space left", "build_id": job["build_id"]})


async def test_accepted_not_taken(user: ToolUser) -> None:
    """The deadline's text is the cause."""
    await user.stack.engine(creating_deadline=SHORT)
    result = await user.run("create_workspace")
    job = await user.provisioner.job()

    assert result == ToolResult(
        {
            "error": "workspace build failed: timed out waiting for workspace build: "
            'no provisioner "local" took the job within 50ms',
            "build_id": job["build_id"],
        }
    )


async def test_accepted_canceled(user: ToolUser) -> None:
    """Somebody else cancels the build."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.stack.client.cancel(user.chat_id)

    assert await running == ToolResult(
        {"error": "workspace build failed: build was canceled", "build_id": job["build_id"]}
    )


async def test_accepted_quota(user: ToolUser) -> None:
    """The quota error has texts of its own; the action is create."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "running")
    quota = {"credits_consumed": 12, "budget": 10}
    await user.provisioner.tell(job, "failed", error="too big", error_code="INSUFFICIENT_QUOTA", quota=quota)

    assert await running == ToolResult(
        QUOTA | {"error": "workspace build failed: too big", "build_id": job["build_id"]}
    )


async def test_accepted_quota_unknown(user: ToolUser) -> None:
    """Without numbers there is no `quota`."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "failed", error="too big", error_code="INSUFFICIENT_QUOTA")
    told = {name: text for name, text in QUOTA.items() if name != "quota"}

    assert await running == ToolResult(told | {"error": "workspace build failed: too big", "build_id": job["build_id"]})


@pytest.mark.parametrize(
    ("verb", "text"), [("stop", "the workspace was stopped"), ("delete", "the workspace was deleted")]
)
async def test_accepted_then_idle(user: ToolUser, verb: str, text: str) -> None:
    """Somebody stops or deletes it while the tool waits for it to be ready."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job, _ = await user.reach(State.CONNECTING, await user.provisioner.job())
    await getattr(user.stack.client, verb)(user.chat_id)

    assert await running == ToolResult({"error": f"workspace build failed: {text}", "build_id": job["build_id"]})


async def test_a_newer_start_build_takes_over(user: ToolUser) -> None:
    """The tool follows it and reports its id."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job, _ = await user.reach(State.BUILDING, await user.provisioner.job())
    newer = {name: str(uuid4()) for name in ("build_id", "job_id")} | {"build_number": 2, "transition": "start"}
    await user.provisioner.announce(job, newer)
    await user.provisioner.bring_up(job | newer)

    assert await running == ToolResult(CREATED | {"build_id": newer["build_id"]})


# --- attached, exists -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.CREATING, State.BUILDING])
async def test_attached_to_a_build(user: ToolUser, state: State) -> None:
    """The build in flight is waited for, and named."""
    await user.stack.engine()
    job, agent = await user.reach(state)
    running = user.begin("create_workspace")
    await user.answered()
    await user.build_to(State.READY, job, agent)

    assert await running == ToolResult(COMPLETED | {"build_id": job["build_id"]})


async def test_attached_to_a_build_that_fails(user: ToolUser) -> None:
    """Another prefix than for a build of one's own."""
    job, running = await user.attach_to_build("create_workspace")
    await user.provisioner.tell(job, "failed", error="")

    assert await running == ToolResult(
        {"error": "existing workspace build failed: build failed", "build_id": job["build_id"]}
    )


async def test_attached_quota(user: ToolUser) -> None:
    """For a build found in flight the action is start."""
    job, running = await user.attach_to_build("create_workspace")
    quota = {"credits_consumed": 12, "budget": 10}
    await user.provisioner.tell(job, "failed", error="too big", error_code="INSUFFICIENT_QUOTA", quota=quota)

    assert await running == ToolResult(
        QUOTA
        | {
            "error": "existing workspace build failed: too big",
            "build_id": job["build_id"],
            "message": str(QUOTA["message"]).replace("could not create", "could not start"),
        }
    )


async def test_attached_no_agent(user: ToolUser) -> None:
    """Here `agent_status` is left out."""
    job, running = await user.attach_to_build("create_workspace")
    await user.provisioner.tell(job, "succeeded", agents=[])

    assert await running == ToolResult(COMPLETED | {"build_id": job["build_id"]})


async def test_attached_with_readiness(user: ToolUser) -> None:
    """Other readiness fields are there."""
    job, running = await user.attach_to_build("create_workspace")
    await user.provisioner.tell(job, "succeeded", agents=two_agents())

    assert await running == ToolResult(
        COMPLETED | {"build_id": job["build_id"], "agent_status": "selection_error", "agent_error": AMBIGUOUS}
    )


@pytest.mark.parametrize("state", [State.BINDING, State.CONNECTING])
async def test_attached_connecting(user: ToolUser, state: State) -> None:
    """No build is waited for."""
    await user.stack.engine()
    job, agent = await user.reach(state)
    running = user.begin("create_workspace")
    await user.answered()
    if state is State.BINDING:
        await user.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()

    assert await running == ToolResult(CONNECTING)


async def test_attached_connecting_then_idle(user: ToolUser) -> None:
    """The prefix that is used where a row names none, and no build."""
    await user.stack.engine()
    await user.reach(State.CONNECTING)
    running = user.begin("create_workspace")
    await user.answered()
    await user.stack.client.stop(user.chat_id)

    assert await running == ToolResult({"error": "existing workspace build failed: the workspace was stopped"})


async def test_attached_starting(user: ToolUser) -> None:
    """Waited for."""
    await user.stack.engine()
    _, agent = await user.reach(State.STARTING)
    running = user.begin("create_workspace")
    await user.answered()
    await agent.tell("lifecycle", state="ready")

    assert await running == ToolResult(RUNNING)


async def test_exists(user: ToolUser) -> None:
    """Ready: at once, whatever template was named."""
    await user.stack.engine()
    await user.reach(State.READY)

    assert await user.run("create_workspace", template_id=str(uuid4())) == ToolResult(RUNNING)


async def test_exists_startup_failed(user: ToolUser) -> None:
    """At rest, and said so."""
    await user.stack.engine()
    _, agent = await user.reach(State.STARTING)
    await agent.tell("lifecycle", state="start_error")
    await user.seen(State.FAILED)

    assert await user.run("create_workspace") == ToolResult(
        RUNNING | {"startup_scripts": "startup_scripts_failed", "lifecycle_state": "start_error"}
    )


@pytest.mark.parametrize(("connected", "row"), [(False, CONNECTING), (True, RUNNING)])
async def test_exists_selection_error(user: ToolUser, connected: bool, row: dict[str, Any]) -> None:
    """The message follows the first root agent's link."""
    await user.stack.engine()
    job, agent = await user.reach(State.BUILDING)
    first, second = two_agents()
    await user.provisioner.tell(job, "succeeded", agents=[first | {"id": agent.id}, second])
    await user.seen(State.FAILED)
    if connected:
        await agent.tell("connected")
        await user.stack.decided()

    assert await user.run("create_workspace") == ToolResult(
        row | {"agent_status": "selection_error", "agent_error": AMBIGUOUS}
    )


# --- stopped, conflict ------------------------------------------------------------------------------------------------


async def test_stopped(user: ToolUser) -> None:
    """It is not started."""
    await user.stack.engine()
    await user.reach(State.READY)
    await user.stop()

    assert await user.run("create_workspace") == ToolResult(STOPPED)


async def test_conflict_with_a_stop(user: ToolUser) -> None:
    """The stop is waited for, then asked again under the next request_id."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.stop(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("create_workspace", "R")
    await user.answered()
    await user.finish(job)

    assert await running == ToolResult(STOPPED)
    assert (await user.requests())[-2:] == ["R", "R.2"]


async def test_conflict_with_a_delete(user: ToolUser) -> None:
    """After it there is a new workspace."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.delete(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("create_workspace")
    await user.answered()
    await user.finish(job)
    new = await user.provisioner.job()
    await user.provisioner.bring_up(new)

    assert await running == ToolResult(CREATED | {"build_id": new["build_id"]})
    assert new["workspace"]["id"] != job["workspace"]["id"]


@pytest.mark.parametrize(("error", "text"), [("disk is busy", "disk is busy"), ("", "build failed")])
async def test_conflict_not_succeeded(user: ToolUser, error: str, text: str) -> None:
    """The other build's own error."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.stop(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("create_workspace")
    await user.answered()
    await user.provisioner.tell(job, "failed", error=error)

    assert await running == ToolResult(
        {"error": f"existing workspace build failed: {text}", "build_id": job["build_id"]}
    )


async def test_conflict_canceled(user: ToolUser) -> None:
    """A canceled stop is not one."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.stop(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("create_workspace")
    await user.answered()
    await user.provisioner.tell(job, "canceled")

    assert await running == ToolResult(
        {"error": "existing workspace build failed: build was canceled", "build_id": job["build_id"]}
    )


async def test_conflict_and_the_wait_ends(user: ToolUser) -> None:
    """Nobody waits for ever for somebody else's build."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.stop(user.chat_id)
    assert reply.snapshot is not None
    since = reply.snapshot.entered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    running = user.begin("create_workspace")
    await user.answered()

    assert await user.give_up(running) == ToolResult(
        {
            "error": f"existing workspace build failed: timed out waiting for workspace build: idle since {since}",
            "build_id": reply.build_id,
        }
    )
