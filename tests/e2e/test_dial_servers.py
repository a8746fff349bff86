"""The dial on real servers: the default connector is a ping, and every request to the engine is counted."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from nats.aio.msg import Msg

from tests.e2e.daemon import Asked
from tests.e2e.provisioner import Agent, an_agent, now
from tests.e2e.stack import LIMIT, ORGANIZATION
from tests.e2e.tool_user import ToolUser
from workspaced.bus.connection import flush
from workspaced.bus.dial import Dialer, ping_dialer
from workspaced.bus.dial_errors import AgentNotFound, DialFailed, NoAgent, NoWorkspace
from workspaced.bus.dial_settings import DialSettings
from workspaced.bus.messages import Pong
from workspaced.fsm.state import State


async def answer(agent: Agent, build_id: str | None = None) -> None:
    """Have an agent answer pings, if need be in the name of another build."""

    async def pong(message: Msg) -> None:
        build = build_id or agent.job["build_id"]
        body = {"agent_id": agent.id, "build_id": build, "lifecycle": "ready", "at": now()}
        await message.respond(json.dumps(body).encode())

    await agent.connection.subscribe(f"ws.agent.{agent.id}.ping", cb=pong)
    await flush(agent.connection)


@pytest.fixture
async def dialer(user: ToolUser) -> AsyncIterator[Dialer[Pong]]:
    """Over the same client as the tools, with a real clock and short limits."""
    settings = DialSettings(dial_validation_delay=timedelta(milliseconds=100), dial_limit=timedelta(seconds=1))
    dialer = ping_dialer(user.client, settings=settings)
    yield dialer
    await dialer.close()


@pytest.fixture
async def asked(user: ToolUser) -> Asked:
    """Counts from the start of the test."""
    asked = Asked(user.stack)
    await asked.start()
    return asked


async def ready(user: ToolUser) -> Agent:
    """A workspace whose agent answers."""
    _, agent = await user.reach(State.READY)
    await answer(agent)
    return agent


async def test_steady_state(user: ToolUser, dialer: Dialer[Pong], asked: Asked) -> None:
    """One request for the first use; none for the hundred dials after it, kept connection or not."""
    await user.stack.engine()
    agent = await ready(user)
    await asked.verbs(user.client)
    with await dialer.dial(user.chat_id) as first:
        pong = first.connection

    assert (pong.agent_id, pong.build_id, pong.lifecycle) == (agent.id, agent.job["build_id"], "ready")
    assert await asked.verbs(user.client) == ["get"]

    for _ in range(100):
        dialer.drop(user.chat_id)
        (await dialer.dial(user.chat_id)).give_back()
        (await dialer.dial(user.chat_id)).give_back()

    assert await asked.verbs(user.client) == []


async def test_dead_agent_is_reported_and_comes_back(user: ToolUser, dialer: Dialer[Pong], asked: Asked) -> None:
    """Both dials fail, the engine doubts the agent, the agent tells that it lives, the chat is ready again."""
    await user.stack.engine()
    _, agent = await user.reach(State.READY)
    with pytest.raises(DialFailed, match=r"^dial with lazy validation: the workspace agent is not connected$"):
        await dialer.dial(user.chat_id)
    await user.seen(State.CONNECTING)

    assert [verb for verb in await asked.verbs(user.client) if verb in {"get", "unreachable"}][-2:] == [
        "get",
        "unreachable",
    ]

    await answer(agent)
    await agent.get_ready()
    await user.seen(State.READY)
    with await dialer.dial(user.chat_id) as borrowed:
        assert borrowed.connection.agent_id == agent.id


async def test_dead_agent_that_stays_silent(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """Two signals: a failed dial and a silent agent; then the workspace is given up."""
    await user.stack.engine(agent_inactive_grace=timedelta(milliseconds=100))
    await user.reach(State.READY)
    with pytest.raises(DialFailed):
        await dialer.dial(user.chat_id)
    snapshot = await user.seen(State.FAILED)

    assert snapshot.failure is not None
    assert snapshot.failure.code == "agent_disconnected"


async def test_stopped_and_started(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """By pushes alone: no agent, then the new one; the kept connection does not outlive its agent."""
    await user.stack.engine()
    first = await ready(user)
    (await dialer.dial(user.chat_id)).give_back()
    await user.stop()
    with pytest.raises(NoAgent, match=r"^workspace has no running agent; it is likely stopped"):
        await dialer.dial(user.chat_id)
    reply = await user.stack.client.start(user.chat_id)
    _, second = await user.reach(State.READY, await user.provisioner.job(reply.build_id))
    await answer(second)
    with await dialer.dial(user.chat_id) as borrowed:
        assert borrowed.connection.agent_id == second.id != first.id
        assert borrowed.requests == 0


async def test_another_build_answers(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """An answer in the name of another build is none."""
    await user.stack.engine()
    _, agent = await user.reach(State.READY)
    await answer(agent, str(uuid4()))
    with pytest.raises(DialFailed, match=r"the agent that answered belongs to another build$"):
        await dialer.dial(user.chat_id)


async def test_an_agent_that_hangs(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """It listens and does not answer: validated, waited for, reported, and told in words."""
    await user.stack.engine()
    _, agent = await user.reach(State.READY)
    await agent.connection.subscribe(f"ws.agent.{agent.id}.ping")
    await agent.connection.flush()
    with pytest.raises(Exception, match=r"^connection to the workspace agent timed out; it may be reachable"):
        await dialer.dial(user.chat_id)
    await user.seen(State.CONNECTING)


async def test_no_workspace(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """Nobody has heard of the chat."""
    await user.stack.engine()
    with pytest.raises(NoWorkspace, match=r"^no workspace is associated with this chat; use create_workspace to make"):
        await dialer.dial(user.chat_id)


async def test_deleted(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """As if there had never been one."""
    await user.stack.engine()
    await ready(user)
    (await dialer.dial(user.chat_id)).give_back()
    reply = await user.stack.client.delete(user.chat_id)
    await user.finish(await user.provisioner.job(reply.build_id))
    await user.seen(State.IDLE, deleted=True)
    with pytest.raises(NoWorkspace):
        await dialer.dial(user.chat_id)


async def test_two_agents(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """The engine's words on why it could not choose."""
    await user.stack.engine()
    job, _ = await user.reach(State.BUILDING)
    agents = [an_agent(str(uuid4()), name=f"{letter}-coderd-chat") for letter in "ab"]
    await user.provisioner.tell(job, "succeeded", agents=agents)
    await user.seen(State.FAILED)
    with pytest.raises(
        AgentNotFound, match=r'^find chat agent: multiple agents match the chat suffix "-coderd-chat": a-'
    ):
        await dialer.dial(user.chat_id)


async def test_child(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """A child of a bound parent reaches the parent's agent."""
    await user.stack.engine()
    agent = await ready(user)
    child = str(uuid4())
    await user.stack.client.attach(
        child, owner=user.stack.owner, organization_id=ORGANIZATION, from_chat_id=user.chat_id
    )
    with await dialer.dial(child) as borrowed:
        assert borrowed.connection.agent_id == agent.id


async def test_link_turned_disconnected(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """The push makes the kept connection suspect: the agent is dialed anew, and it answers."""
    await user.stack.engine()
    agent = await ready(user)
    with await dialer.dial(user.chat_id) as before:
        old = before.connection
    await agent.tell("disconnected")
    await user.seen(State.CONNECTING)
    async with asyncio.timeout(LIMIT):
        with await dialer.dial(user.chat_id) as after:
            assert after.connection is not old
            assert after.requests == 0


async def test_discover_does_not_hold_up_a_turn(user: ToolUser, dialer: Dialer[Pong]) -> None:
    """Nothing to reach is no error before a turn."""
    await user.stack.engine()
    await user.reach(State.READY)
    await user.stop()

    assert await dialer.discover(user.chat_id) is None
