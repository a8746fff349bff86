"""Every row of domain.md 3.4 on real servers: what a workspace that was made still lacks."""

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
RUNNING = EXISTS | {"message": "workspace is already running and recently connected"}
NOT_YET = (
    "the workspace uses an externally managed agent that has not connected yet; "
    "the user has to start it on its host and then try again"
)
AMBIGUOUS = (
    'multiple agents match the chat suffix "-coderd-chat": a-coderd-chat, b-coderd-chat; '
    "only one agent should use this suffix"
)
SHORT = timedelta(milliseconds=50)


def two_agents() -> list[dict[str, Any]]:
    """Nobody can choose between them."""
    return [an_agent(str(uuid4()), name=f"{letter}-coderd-chat") for letter in "ab"]


@pytest.mark.parametrize("agents", [[], None])
async def test_no_agent(user: ToolUser, agents: list[dict[str, Any]] | None) -> None:
    """None at all, or not told in time."""
    await user.stack.engine(binding_deadline=SHORT)
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "running")
    await user.provisioner.tell(job, "succeeded", **({} if agents is None else {"agents": agents}))

    assert await running == ToolResult(CREATED | {"build_id": job["build_id"], "agent_status": "no_agent"})


async def test_selection_error(user: ToolUser) -> None:
    """Two agents with the suffix."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "running")
    await user.provisioner.tell(job, "succeeded", agents=two_agents())

    assert await running == ToolResult(
        CREATED | {"build_id": job["build_id"], "agent_status": "selection_error", "agent_error": AMBIGUOUS}
    )


@pytest.mark.parametrize(
    ("external", "text"), [(False, "the workspace agent did not connect within 50ms"), (True, NOT_YET)]
)
async def test_not_connected(user: ToolUser, external: bool, text: str) -> None:
    """An external agent is somebody else's to start."""
    await user.stack.engine(connecting_deadline=SHORT)
    running = user.begin("create_workspace")
    job = await user.provisioner.job()
    await user.provisioner.tell(job, "running")
    await user.provisioner.tell(job, "succeeded", agents=[an_agent(str(uuid4()), external=external)])

    assert await running == ToolResult(
        CREATED | {"build_id": job["build_id"], "agent_status": "not_ready", "agent_error": text}
    )


async def test_external_agent_gone(user: ToolUser) -> None:
    """It was connected: it is to be reconnected."""
    await user.stack.engine(agent_inactive_grace=SHORT)
    running = user.begin("create_workspace")
    job, agent = await user.reach(State.STARTING, await user.provisioner.job(), external=True)
    await agent.tell("disconnected")

    assert (await running).content == CREATED | {
        "build_id": job["build_id"],
        "agent_status": "not_ready",
        "agent_error": "the workspace uses an externally managed agent that is currently offline; "
        "the user has to reconnect it on its host and then try again",
    }


async def test_startup_failed(user: ToolUser) -> None:
    """The lifecycle in which the scripts ended."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job, agent = await user.reach(State.STARTING, await user.provisioner.job())
    await agent.tell("lifecycle", state="start_error")

    assert await running == ToolResult(
        CREATED
        | {
            "build_id": job["build_id"],
            "startup_scripts": "startup_scripts_failed",
            "lifecycle_state": "start_error",
        }
    )


async def test_startup_timeout(user: ToolUser) -> None:
    """They take longer than their deadline."""
    await user.stack.engine(starting_deadline=SHORT)
    running = user.begin("create_workspace")
    job, agent = await user.reach(State.CONNECTING, await user.provisioner.job())
    await agent.tell("connected")
    await agent.tell("lifecycle", state="starting")

    assert await running == ToolResult(
        CREATED | {"build_id": job["build_id"], "startup_scripts": "startup_scripts_timeout"}
    )


@pytest.mark.parametrize("state", [State.CREATING, State.BUILDING])
async def test_stopped_waiting_for_the_build(user: ToolUser, state: State) -> None:
    """A build error that says since when."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job, _ = await user.reach(state, await user.provisioner.job())
    since = (await user.client.get(user.chat_id)).entered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert await user.give_up(running) == ToolResult(
        {
            "error": f"workspace build failed: timed out waiting for workspace build: {state} since {since}",
            "build_id": job["build_id"],
        }
    )


@pytest.mark.parametrize(
    ("state", "external", "lacks"),
    [
        (
            State.BINDING,
            False,
            {"agent_status": "not_ready", "agent_error": "stopped waiting: the workspace agent is not connected yet"},
        ),
        (
            State.CONNECTING,
            False,
            {"agent_status": "not_ready", "agent_error": "stopped waiting: the workspace agent is not connected yet"},
        ),
        (State.CONNECTING, True, {"agent_status": "not_ready", "agent_error": NOT_YET}),
        (State.STARTING, False, {"startup_scripts": "startup_scripts_unknown"}),
    ],
)
async def test_stopped_waiting(user: ToolUser, state: State, external: bool, lacks: dict[str, str]) -> None:
    """What is known then; the machine goes on and gets ready."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job, agent = await user.reach(state, await user.provisioner.job(), external=external)

    assert await user.give_up(running) == ToolResult(CREATED | {"build_id": job["build_id"]} | lacks)

    if state is State.BINDING:
        await user.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    await user.seen(State.READY)


async def test_interrupted(user: ToolUser) -> None:
    """A canceled turn gets the same answer as one whose time is over, and the machine goes on."""
    await user.stack.engine()
    running = user.begin("create_workspace")
    job, agent = await user.reach(State.CONNECTING, await user.provisioner.job())
    running.cancel()
    result = await running

    assert result == ToolResult(
        CREATED
        | {
            "build_id": job["build_id"],
            "agent_status": "not_ready",
            "agent_error": "stopped waiting: the workspace agent is not connected yet",
        }
    )

    await agent.get_ready()

    assert await user.run("create_workspace") == ToolResult(RUNNING)
