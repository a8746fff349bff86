"""B2 to B18 of domain.md 8.5 and the tables beside them, on real servers; the others are in `test_dial_servers.py`.

Time is the daemon's, and stands still until it is moved. A push is missed by holding it back at the client.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.gate import Gate
from tests.e2e.provisioner import Agent
from tests.e2e.stack import LIMIT
from tests.e2e.tool_user import ToolUser
from tests.servers import Connections
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.dial_errors import (
    AgentDisconnected,
    DialError,
    DialFailed,
    DialTimeout,
    ExternalAgentAway,
    NeverConnected,
    NoAgent,
)
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

NO_AGENT = "workspace has no running agent; it is likely stopped. Use start_workspace to start it"
TIMED_OUT = "connection to the workspace agent timed out; it may be reachable on the next attempt"
STOP_AND_START = "call stop_workspace and then start_workspace"
NEVER = f"the workspace agent never connected and its connection timeout has elapsed; {STOP_AND_START}"
DISCONNECTED = f"the workspace agent has been disconnected for at least 90 seconds; {STOP_AND_START}"
NOT_CONNECTED = "dial with lazy validation: the workspace agent is not connected"
EXTERNAL = "the workspace uses an externally managed agent that "
NOT_YET = f"{EXTERNAL}has not connected yet; the user has to start it on its host and then try again"
OFFLINE = f"{EXTERNAL}is currently offline; the user has to reconnect it on its host and then try again"

VALIDATION_DELAY, DIAL_LIMIT = 5, 30


def ago(seconds: float) -> str:
    """A moment in the past."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.fixture
async def daemon(user: ToolUser, connect: Connections) -> AsyncIterator[Daemon]:
    """An engine runs; nobody dials yet."""
    await user.stack.engine()
    gate = Gate("pushed")
    daemon = Daemon(user, WorkspacedClient(await connect("chatd"), moments=gate.moments), gate)
    await daemon.asked.start()
    yield daemon
    await daemon.dialer.close()
    gate.open()


async def ready(daemon: Daemon) -> Agent:
    """A workspace whose agent answers; the chat is in use."""
    _, agent = await daemon.user.reach(State.READY)
    await daemon.answers(agent)
    await daemon.in_use()
    return agent


async def rebuilt(daemon: Daemon) -> Agent:
    """The agent of a later build, which answers."""
    await daemon.user.stop()
    reply = await daemon.user.stack.client.start(daemon.user.chat_id)
    _, agent = await daemon.user.reach(State.READY, await daemon.user.provisioner.job(reply.build_id))
    await daemon.answers(agent)
    return agent


async def seen(daemon: Daemon, wanted: Callable[[Snapshot], bool]) -> None:
    """The daemon has a push that is `wanted`."""
    await daemon.client.wait_until(daemon.user.chat_id, wanted, timedelta(seconds=LIMIT))


async def noticed(daemon: Daemon, state: State) -> None:
    """The daemon has the push to that state."""
    await seen(daemon, lambda chat: chat.state is state)


async def error_of(dial: "asyncio.Task[Any]") -> tuple[type[Exception], str]:
    """How a dial ends that fails."""
    with pytest.raises(DialError) as caught:
        await dial
    return type(caught.value), str(caught.value)


async def timed_out(daemon: Daemon) -> tuple[type[Exception], str]:
    """How the dial of an agent that hangs ends, when its time is over."""
    dial = await daemon.begin()
    await daemon.clock.pass_time(DIAL_LIMIT)
    return await error_of(dial)


async def test_b2_not_bound_yet(daemon: Daemon) -> None:
    """One `get` at most; the engine binds and pushes, and then none."""
    job, agent = await daemon.user.reach(State.BUILDING)
    await daemon.answers(agent)
    await daemon.verbs()

    with pytest.raises(NoAgent, match=f"^{NO_AGENT}$"):
        await daemon.dial()
    assert await daemon.verbs() == ["get"]

    await daemon.user.provisioner.tell(job, "succeeded", agents=[{"id": agent.id, "name": "main"}])
    await agent.get_ready()
    await noticed(daemon, State.READY)
    with await daemon.dial() as borrowed:
        assert (borrowed.binding.agent_id, borrowed.requests) == (agent.id, 0)
    assert await daemon.verbs() == []


@pytest.mark.parametrize("scenario", ["B3, B4: it fails fast", "B5: it hangs"])
async def test_b3_b4_b5_rebuilt_unnoticed(daemon: Daemon, scenario: str) -> None:
    """The old agent is dialed, then the new one in the same call; the held snapshot and the connection are the new."""
    old = await ready(daemon)
    daemon.gate.close()
    new = await rebuilt(daemon)
    await daemon.verbs()

    if scenario.startswith("B5"):
        await daemon.hangs(old)
        dial = await daemon.begin()
        await daemon.clock.pass_time(VALIDATION_DELAY - 0.1)
        assert await daemon.verbs() == []
        await daemon.clock.pass_time(0.1)
        borrowed = await dial
    else:
        await daemon.crashes(old)
        borrowed = await daemon.dial()
    with borrowed:
        held = daemon.dialer.held(daemon.user.chat_id)
        assert (borrowed.binding.agent_id, borrowed.switched, borrowed.requests) == (new.id, True, 1)
        assert held == await daemon.user.stack.client.get(daemon.user.chat_id)
    with await daemon.dial() as again:
        assert again.connection is borrowed.connection

    assert daemon.dialed == [old.id, new.id]
    assert [verb for verb in await daemon.verbs() if verb != "get"] == []


@pytest.mark.parametrize("scenario", ["B6: it hangs", "B7: it fails fast"])
async def test_b6_b7_stopped_unnoticed(daemon: Daemon, scenario: str) -> None:
    """*No agent* as soon as the engine was asked; agent and connection are not held any more."""
    agent = await ready(daemon)
    daemon.gate.close()
    await daemon.user.stop()
    await daemon.verbs()

    if scenario.startswith("B6"):
        await daemon.hangs(agent)
        dial = await daemon.begin()
        await daemon.clock.pass_time(VALIDATION_DELAY)
    else:
        await daemon.crashes(agent)
        dial = asyncio.create_task(daemon.dial())

    assert await error_of(dial) == (NoAgent, NO_AGENT)
    held = daemon.dialer.held(daemon.user.chat_id)
    assert held is not None
    assert held.agent_id is None
    assert daemon.dialed == [agent.id]
    assert await daemon.verbs() == ["get"]


async def test_b8_crashed(daemon: Daemon) -> None:
    """The dial's error and no advice; the agent stays held, and is reported."""
    agent = await ready(daemon)
    await daemon.crashes(agent)

    with pytest.raises(DialFailed, match=f"^{NOT_CONNECTED}$"):
        await daemon.dial()
    await daemon.asked.until("unreachable")

    held = daemon.dialer.held(daemon.user.chat_id)
    assert held is not None
    assert held.agent_id == agent.id
    assert daemon.dialed == [agent.id, agent.id]
    assert await daemon.verbs() == ["get", "unreachable"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(50, (DialTimeout, TIMED_OUT), id="B9"),
        pytest.param(61, (AgentDisconnected, DISCONNECTED), id="B10"),
    ],
)
async def test_b9_b10_hangs_and_is_disconnected(
    daemon: Daemon, seconds: float, expected: tuple[type[Exception], str]
) -> None:
    """Less than 90 s, or as many, with those of the dial; both are reported."""
    _, agent = await daemon.user.reach(State.CONNECTING)
    await agent.tell("connected", at=ago(seconds + 1))
    await agent.tell("disconnected", at=ago(seconds))
    await daemon.hangs(agent)
    await seen(daemon, lambda chat: chat.agent is not None and chat.agent.link == "disconnected")

    assert await timed_out(daemon) == expected
    await daemon.asked.until("unreachable")


NEVER_CAME: dict[str, tuple[dict[str, Any], tuple[type[Exception], str]]] = {
    "B11: too late": ({"connection_timeout_seconds": 60, "created_at": ago(120)}, (NeverConnected, NEVER)),
    "B12: it still may": ({"connection_timeout_seconds": 600}, (DialTimeout, TIMED_OUT)),
    "B12: it always may": ({"connection_timeout_seconds": 0, "created_at": ago(999)}, (DialTimeout, TIMED_OUT)),
    "external": ({"external": True}, (ExternalAgentAway, NOT_YET)),
}


@pytest.mark.parametrize("scenario", NEVER_CAME)
async def test_b11_b12_never_connected(daemon: Daemon, scenario: str) -> None:
    """The advice needs a dial that timed out and a link that is `timeout`."""
    fields, expected = NEVER_CAME[scenario]
    _, agent = await daemon.user.reach(State.CONNECTING, **fields)
    await daemon.hangs(agent)

    assert await timed_out(daemon) == expected


async def lost(daemon: Daemon, *, external: bool = False) -> Agent:
    """An agent that was ready and is away, though it answers; the chat is in use."""
    _, agent = await daemon.user.reach(State.READY, external=external)
    await daemon.answers(agent)
    await daemon.in_use()
    await agent.tell("disconnected")
    await noticed(daemon, State.CONNECTING)
    return agent


async def test_b13_a_link_that_lies(daemon: Daemon) -> None:
    """The connection is used, whatever the link says."""
    agent = await lost(daemon)

    with await daemon.dial() as borrowed:
        assert (borrowed.binding.agent_id, borrowed.requests, borrowed.switched) == (agent.id, 0, False)
    assert await daemon.verbs() == []


EXTERNAL_AWAY: dict[str, tuple[dict[str, Any], str]] = {
    "too late": ({"connection_timeout_seconds": 60, "created_at": ago(120)}, NOT_YET),
    "offline": ({}, OFFLINE),
}


@pytest.mark.parametrize("scenario", EXTERNAL_AWAY)
async def test_an_external_agent_is_not_dialed(daemon: Daemon, scenario: str) -> None:
    """With a bad link; who can do something about it is told."""
    fields, text = EXTERNAL_AWAY[scenario]
    if fields:
        await daemon.user.reach(State.CONNECTING, external=True, **fields)
    else:
        await lost(daemon, external=True)
        daemon.dialed.clear()

    with pytest.raises(ExternalAgentAway, match=f"^{text}$"):
        await daemon.dial()
    assert daemon.dialed == []


async def test_b15_the_engine_does_not_answer(daemon: Daemon) -> None:
    """The first dial is waited for, and used."""
    agent = await ready(daemon)
    await daemon.user.stack.stop(daemon.user.stack.engines[0])
    await daemon.answers(agent, first=lambda: daemon.asked.until("get"))
    dial = await daemon.begin()
    await daemon.clock.pass_time(VALIDATION_DELAY)

    with await dial as borrowed:
        assert (borrowed.binding.agent_id, borrowed.switched) == (agent.id, False)
    assert daemon.dialed == [agent.id]


async def test_b16_moved_to_another_workspace(daemon: Daemon) -> None:
    """While it is dialed: resolved again for the new one, and what the first dial brought is released."""
    agent = await ready(daemon)
    stack, other_chat = daemon.user.stack, str(uuid4())
    other = await stack.provisioner.bring_up(
        await stack.provisioner.job((await stack.create(other_chat, name="other")).build_id)
    )
    await stack.pushes.until(other_chat, "ready")
    await daemon.answers(other)
    workspace = other.job["workspace"]["id"]

    async def move() -> None:
        await stack.attach(daemon.user.chat_id, workspace_id=workspace)
        await seen(daemon, lambda chat: chat.agent_id == other.id)

    await daemon.answers(agent, first=move)

    with await daemon.dial() as borrowed:
        assert (borrowed.binding.workspace_id, borrowed.binding.agent_id) == (workspace, other.id)
    assert daemon.dialed == [agent.id, other.id]
    assert daemon.released == [agent.id]


async def test_b17_interrupted(daemon: Daemon) -> None:
    """The interrupt comes back unchanged; nothing is asked and nothing reported."""
    agent = await ready(daemon)
    await daemon.hangs(agent)
    dial = await daemon.begin()
    dial.cancel("by the user")

    with pytest.raises(asyncio.CancelledError, match="by the user"):
        await dial
    assert await daemon.verbs() == []


async def test_b18_restarted(daemon: Daemon) -> None:
    """No agent from the next push on; bound at `binding`, and the context is to be read again."""
    old = await ready(daemon)
    user = daemon.user
    reply = await user.stack.client.restart(user.chat_id)
    await noticed(daemon, State.IDLE)
    with pytest.raises(NoAgent):
        await daemon.dial()
    await user.finish(await user.provisioner.job(reply.build_id))
    _, new = await user.reach(State.READY, await user.provisioner.job())
    await daemon.answers(new)
    await noticed(daemon, State.READY)

    with await daemon.dial() as borrowed:
        assert borrowed.binding.agent_id == new.id
    assert daemon.rebound == [new.id]
    assert daemon.dialed == [new.id]
    assert old.id != new.id


async def test_stopped_while_it_is_dialed(daemon: Daemon) -> None:
    """The time is over and there is no agent any more: that is what is said."""
    agent = await ready(daemon)
    await daemon.hangs(agent)
    dial = await daemon.begin()
    await daemon.user.stop()
    await daemon.clock.pass_time(DIAL_LIMIT)

    assert await error_of(dial) == (NoAgent, NO_AGENT)
