"""Every row of domain.md 3.5 on real servers: the exact object."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.stack import ORGANIZATION, TEMPLATE
from tests.e2e.tool_user import ToolUser
from workspaced.fsm.state import State
from workspaced.tools.result import ToolResult

STARTED = {"started": True, "workspace_name": "dev"}
NO_BUILD = STARTED | {"no_build": True}
UPDATED = {
    "updated_to_active_version": True,
    "update_reason": "template requires active versions",
    "message": "workspace was started and updated to the active template version",
}
DELETED = ToolResult("workspace was deleted; use create_workspace to make a new one", is_error=True)
NO_WORKSPACE = ToolResult("chat has no workspace; use create_workspace first", is_error=True)
SHORT = timedelta(milliseconds=50)


async def stopped(user: ToolUser) -> None:
    """A workspace `dev` that was ready and is stopped."""
    await user.reach(State.READY)
    await user.stop()


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_no_workspace(user: ToolUser) -> None:
    """The text of the command."""
    await user.stack.engine()

    assert await user.run("start_workspace") == NO_WORKSPACE


async def test_deleted(user: ToolUser) -> None:
    """The text of the command."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await user.stack.client.delete(user.chat_id)
    await user.finish(await user.provisioner.job(reply.build_id))
    await user.seen(State.IDLE, deleted=True)

    assert await user.run("start_workspace") == DELETED


async def test_bad_parameters(user: ToolUser) -> None:
    """A structured error tells which template they are of."""
    await user.stack.engine()
    await stopped(user)

    assert await user.run("start_workspace", parameters={"gpu": "1"}) == ToolResult(
        {
            "error": "unable to validate parameters",
            "validations": [{"field": "gpu", "detail": "unknown parameter"}],
            "template_id": TEMPLATE,
        }
    )


async def test_the_active_version_needs_parameters(user: ToolUser) -> None:
    """What to do, what was wrong, and every fault."""
    await user.stack.engine()
    await stopped(user)
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain", "require_active_version": True}
    await user.stack.client.put_template(known | {"parameters": [{"name": "region", "required": True}]})

    assert await user.run("start_workspace") == ToolResult(
        {
            "error": "the active template version needs other parameters; "
            "use read_template to see them and retry start_workspace with parameters",
            "detail": "unable to validate parameters",
            "validations": [{"field": "region", "detail": "required parameter is missing"}],
            "template_id": TEMPLATE,
        }
    )


# --- accepted ---------------------------------------------------------------------------------------------------------


async def test_accepted(user: ToolUser) -> None:
    """A stopped workspace is started."""
    await user.stack.engine()
    await stopped(user)
    running = user.begin("start_workspace")
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)

    assert await running == ToolResult(STARTED | {"build_id": job["build_id"]})


async def test_accepted_updated(user: ToolUser) -> None:
    """The template requires its active version, which is another one."""
    await user.stack.engine()
    await stopped(user)
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain", "require_active_version": True}
    await user.stack.client.put_template(known | {"source": {"image": "new"}})
    running = user.begin("start_workspace")
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)

    assert await running == ToolResult(STARTED | {"build_id": job["build_id"]} | UPDATED)


async def test_accepted_failed(user: ToolUser) -> None:
    """The build's error."""
    await user.stack.engine()
    await stopped(user)
    running = user.begin("start_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "failed", error="no space left")

    assert await running == ToolResult(
        {"error": "workspace start build failed: no space left", "build_id": job["build_id"]}
    )


async def test_accepted_quota(user: ToolUser) -> None:
    """The action is start."""
    await user.stack.engine()
    await stopped(user)
    running = user.begin("start_workspace")
    job = await user.provisioner.job()
    quota = {"credits_consumed": 0, "budget": 0}
    await user.provisioner.tell(job, "failed", error="too big", error_code="INSUFFICIENT_QUOTA", quota=quota)

    assert await running == ToolResult(
        {
            "error": "workspace start build failed: too big",
            "error_code": "INSUFFICIENT_QUOTA",
            "title": "Workspace quota reached",
            "message": "workspaced could not start this workspace because your workspace quota is full. Delete a "
            "workspace you no longer need, or ask an administrator to raise your group quota allowance.",
            "quota": quota,
            "build_id": job["build_id"],
        }
    )


async def test_accepted_not_ready(user: ToolUser) -> None:
    """Readiness is merged in."""
    await user.stack.engine(connecting_deadline=SHORT)
    await user.stack.create(user.chat_id, name="dev")
    failed = await user.provisioner.job()
    await user.provisioner.tell(failed, "failed", error="x")
    await user.seen(State.FAILED)
    running = user.begin("start_workspace")
    job = await user.provisioner.job()
    await user.provisioner.build(job)

    assert await running == ToolResult(
        STARTED
        | {
            "build_id": job["build_id"],
            "agent_status": "not_ready",
            "agent_error": "the workspace agent did not connect within 50ms",
        }
    )


async def test_accepted_and_the_wait_ends(user: ToolUser) -> None:
    """The prefix of a start of one's own."""
    await user.stack.engine()
    await stopped(user)
    running = user.begin("start_workspace")
    job = await user.provisioner.job()
    snapshot = await user.seen(State.CREATING)
    since = snapshot.entered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert await user.give_up(running) == ToolResult(
        {
            "error": f"workspace start build failed: timed out waiting for workspace build: creating since {since}",
            "build_id": job["build_id"],
        }
    )


# --- attached, exists -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.CREATING, State.BUILDING])
async def test_attached_to_a_build(user: ToolUser, state: State) -> None:
    """Waited for and named."""
    await user.stack.engine()
    job, agent = await user.reach(state)
    running = user.begin("start_workspace")
    await user.answered()
    await user.build_to(State.READY, job, agent)

    assert await running == ToolResult(STARTED | {"build_id": job["build_id"]})


async def test_attached_to_a_build_that_fails(user: ToolUser) -> None:
    """Another prefix."""
    job, running = await user.attach_to_build("start_workspace")
    await user.provisioner.tell(job, "failed", error="no space left")

    assert await running == ToolResult(
        {"error": "waiting for in-progress build: no space left", "build_id": job["build_id"]}
    )


@pytest.mark.parametrize("state", [State.CONNECTING, State.STARTING])
async def test_attached_later(user: ToolUser, state: State) -> None:
    """No build is waited for, but readiness is."""
    await user.stack.engine()
    _, agent = await user.reach(state)
    running = user.begin("start_workspace")
    await user.answered()
    await agent.get_ready()

    assert await running == ToolResult(NO_BUILD)


async def test_exists(user: ToolUser) -> None:
    """Running already."""
    await user.stack.engine()
    await user.reach(State.READY)

    assert await user.run("start_workspace") == ToolResult(NO_BUILD)


async def test_exists_without_an_agent(user: ToolUser) -> None:
    """Running, and not usable: said so."""
    await user.stack.engine()
    job, _ = await user.reach(State.BUILDING)
    await user.provisioner.tell(job, "succeeded", agents=[])
    await user.seen(State.FAILED)

    assert await user.run("start_workspace") == ToolResult(NO_BUILD | {"agent_status": "no_agent"})


async def test_attached_then_stopped(user: ToolUser) -> None:
    """No build was waited for, so none is named."""
    await user.stack.engine()
    await user.reach(State.STARTING)
    running = user.begin("start_workspace")
    await user.answered()
    await user.stack.client.stop(user.chat_id)

    assert await running == ToolResult({"error": "waiting for in-progress build: the workspace was stopped"})


# --- conflict ---------------------------------------------------------------------------------------------------------


async def conflict(user: ToolUser, verb: str) -> tuple[dict[str, Any], Any]:
    """A stop or delete in flight, and a start that waits for it."""
    await user.stack.engine()
    await user.reach(State.READY)
    reply = await getattr(user.stack.client, verb)(user.chat_id)
    job = await user.provisioner.job(reply.build_id)
    running = user.begin("start_workspace", "R")
    await user.answered()
    return job, running


async def test_conflict_with_a_stop(user: ToolUser) -> None:
    """After it the workspace is started."""
    stop, running = await conflict(user, "stop")
    await user.finish(stop)
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)

    assert await running == ToolResult(STARTED | {"build_id": job["build_id"]})
    assert (await user.requests())[-2:] == ["R", "R.2"]


async def test_conflict_with_a_restart(user: ToolUser) -> None:
    """After its stop the engine starts by itself, which is waited for."""
    stop, running = await conflict(user, "restart")
    await user.finish(stop)
    job = await user.provisioner.job()
    await user.provisioner.bring_up(job)

    assert await running == ToolResult(STARTED | {"build_id": job["build_id"]})


async def test_conflict_with_a_delete(user: ToolUser) -> None:
    """After it there is nothing to start."""
    delete, running = await conflict(user, "delete")
    await user.finish(delete)

    assert await running == DELETED


async def test_conflict_not_succeeded(user: ToolUser) -> None:
    """The other build's error."""
    stop, running = await conflict(user, "stop")
    await user.provisioner.tell(stop, "failed", error="disk is busy")

    assert await running == ToolResult(
        {"error": "waiting for in-progress build: disk is busy", "build_id": stop["build_id"]}
    )


async def test_conflict_and_the_wait_ends(user: ToolUser) -> None:
    """The state is idle, since the stop was asked for."""
    stop, running = await conflict(user, "stop")
    since = (await user.client.get(user.chat_id)).entered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert await user.give_up(running) == ToolResult(
        {
            "error": f"waiting for in-progress build: timed out waiting for workspace build: idle since {since}",
            "build_id": stop["build_id"],
        }
    )


async def test_a_chat_that_nobody_knows(user: ToolUser) -> None:
    """Somebody else's chat is not commanded; nothing is told of it."""
    await user.stack.engine()
    user.chat_id = str(uuid4())

    assert await user.run("start_workspace") == NO_WORKSPACE
