"""B1 to B21 of domain.md 8.5, by a clock that stands still."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tests.bus_messages import AGENT, CHAT, WORKSPACE, a_snapshot
from tests.dialing import (
    AWAY,
    DISCONNECTED,
    NEVER,
    NO_AGENT,
    NO_WORKSPACE,
    OTHER_AGENT,
    OTHER_BUILD,
    OTHER_WORKSPACE,
    REPORT,
    TIMED_OUT,
    Scene,
    ambiguous,
    bound,
    building,
    deleted,
    failed,
    named,
    stopped,
)
from tests.fake_clock import settle
from workspaced.bus.dial_errors import DialError


async def rebuilt_unnoticed() -> Scene:
    """A held agent that is the one of an older build; the push about it was missed."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = bound(9, OTHER_AGENT, OTHER_BUILD)
    return scene


async def test_b1_steady_state() -> None:
    """A held agent that answers: no request, however often."""
    scene = Scene(bound())
    await scene.in_use()
    for number in range(3):
        dial = await scene.begun()
        scene.connector.succeed(number)
        borrowed = await dial
        borrowed.give_back()
        scene.dialer.drop(CHAT)

        assert (borrowed.requests, borrowed.switched, borrowed.binding.agent_id) == (0, False, AGENT)

    assert scene.engine.requests == 0
    assert scene.connector.dialed == [AGENT] * 3


async def test_b1_the_kept_connection() -> None:
    """It is lent again without a dial, without a request, and without waiting at all."""
    scene = Scene(bound())
    await scene.kept()
    with await scene.dialer.dial(CHAT) as first, await scene.dialer.dial(CHAT) as second:
        assert first.connection is second.connection

    assert (scene.engine.requests, len(scene.connector.dialed), scene.clock.waiting) == (0, 1, 0)


async def test_b2_not_bound_yet() -> None:
    """One `get`, no more; once the push is there, none."""
    scene = Scene(building())
    await scene.in_use()
    early = await scene.begun()

    assert failed(early) == ("NoAgent", NO_AGENT)
    assert scene.engine.requests == 1

    scene.engine.push(bound(6))
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).requests == 0


async def test_b2_bound_meanwhile() -> None:
    """The one `get` finds what the push will bring."""
    scene = Scene(building())
    await scene.in_use()
    scene.engine.now = bound(6)
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).requests == 1


async def test_b3_agent_gone() -> None:
    """The dial fails, the engine names the right one, the same call succeeds."""
    scene = await rebuilt_unnoticed()
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()
    scene.connector.succeed(1)
    borrowed = await dial

    assert (borrowed.binding.agent_id, borrowed.switched, borrowed.requests) == (OTHER_AGENT, True, 1)


async def test_b4_rebuilt_old_agent_fails_fast() -> None:
    """Old dialed, then new; the held snapshot is replaced, the new connection kept."""
    scene = await rebuilt_unnoticed()
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()
    scene.connector.succeed(1)
    first = await dial
    again = await scene.dialer.dial(CHAT)

    assert scene.connector.dialed == [AGENT, OTHER_AGENT]
    assert scene.dialer.held(CHAT) == scene.engine.now
    assert again.connection is first.connection
    assert scene.engine.reports == []


async def test_b5_rebuilt_old_agent_hangs() -> None:
    """Validated after 5 s; old abandoned, new dialed."""
    scene = await rebuilt_unnoticed()
    dial = await scene.begun()
    await scene.clock.pass_time(4.9)

    assert scene.connector.dialed == [AGENT]

    await scene.clock.pass_time(0.1)

    assert scene.connector.dialed == [AGENT, OTHER_AGENT]

    scene.connector.succeed(1)
    borrowed = await dial

    assert (borrowed.switched, borrowed.binding.agent_id) == (True, OTHER_AGENT)


async def test_b6_stopped_old_agent_hangs() -> None:
    """*No agent* after 5 s, not 30 s; agent and connection are dropped."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = stopped()
    dial = await scene.begun()
    await scene.clock.pass_time(5)

    assert failed(dial) == ("NoAgent", NO_AGENT)
    assert scene.dialer.held(CHAT) == stopped()
    assert scene.engine.reports == []


async def test_b7_stopped_old_agent_fails_fast() -> None:
    """*No agent* at once."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = stopped()
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()

    assert failed(dial) == ("NoAgent", NO_AGENT)


async def test_b7_with_the_push() -> None:
    """Then there is no dial either."""
    scene = Scene(bound())
    await scene.kept()
    scene.engine.push(stopped())
    dial = await scene.begun()

    assert failed(dial) == ("NoAgent", NO_AGENT)
    assert len(scene.connector.dialed) == 1
    assert scene.connector.released == [0]


async def test_b8_crashed_both_dials_fail() -> None:
    """The dial's error, no advice; the agent stays held, no connection; reported."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()
    scene.connector.fail(1)
    await settle()

    assert failed(dial) == ("DialFailed", "dial with lazy validation: nobody listens")
    assert scene.connector.dialed == [AGENT, AGENT]
    assert scene.dialer.held(CHAT) == bound()
    assert named(scene) == [REPORT]


async def timed_out(scene: Scene) -> tuple[str, str]:
    """The error of a dial that hangs until its limit."""
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(30)
    return failed(dial)


async def test_b9_hangs_disconnected_lately() -> None:
    """*Dial timeout*; reported."""
    scene = Scene(bound(link="disconnected", for_seconds=59))

    assert await timed_out(scene) == ("DialTimeout", TIMED_OUT)
    assert named(scene) == [REPORT]


async def test_b10_hangs_disconnected_for_long() -> None:
    """*Disconnected*, from 90 s on."""
    scene = Scene(bound(link="disconnected", for_seconds=60))  # and 30 s of dialing

    assert await timed_out(scene) == ("AgentDisconnected", DISCONNECTED)
    assert named(scene) == [REPORT]


async def test_b11_never_connected() -> None:
    """*Never connected* once the connection timeout is over."""
    scene = Scene(bound(link="timeout"))

    assert await timed_out(scene) == ("NeverConnected", NEVER)


async def test_b12_not_connected_yet() -> None:
    """*Dial timeout* before that."""
    scene = Scene(bound(link="connecting"))

    assert await timed_out(scene) == ("DialTimeout", TIMED_OUT)


async def test_b13_link_is_wrong() -> None:
    """A dial that works is believed, whatever the link says."""
    scene = Scene(bound(link="disconnected", for_seconds=600))
    await scene.in_use()
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).requests == 0


async def test_b14_link_turned_disconnected() -> None:
    """The kept connection is released, and the agent dialed anew."""
    scene = Scene(bound())
    await scene.kept()
    scene.engine.push(bound(6, link="disconnected"))
    dial = await scene.begun()
    scene.connector.succeed(1)
    await dial

    assert scene.connector.released == [0]
    assert scene.connector.dialed == [AGENT, AGENT]


@pytest.mark.parametrize("link", ["connecting", "connected", "timeout"])
async def test_b14_any_other_link(link: Any) -> None:  # noqa: ANN401  # a link
    """Then the kept connection is used."""
    scene = Scene(bound())
    await scene.kept()
    scene.engine.push(bound(6, link=link))
    borrowed = await scene.dialer.dial(CHAT)

    assert borrowed.connection.number == 0


async def test_b15_get_fails_while_dialing() -> None:
    """Keep waiting; the first dial is used."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = AWAY
    dial = await scene.begun()
    await scene.clock.pass_time(12)
    scene.connector.succeed(0)
    borrowed = await dial

    assert (borrowed.switched, borrowed.connection.number) == (False, 0)


async def test_b16_moved_to_another_workspace() -> None:
    """Resolved again for the new one; what the dial brought is released."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    scene.engine.push(bound(6, OTHER_AGENT, OTHER_BUILD, workspace_id=OTHER_WORKSPACE))
    scene.connector.succeed(0)
    await settle()
    scene.connector.succeed(1)
    borrowed = await dial

    assert borrowed.binding.workspace_id == OTHER_WORKSPACE
    assert scene.connector.dialed == [AGENT, OTHER_AGENT]
    assert scene.connector.released == [0]


async def test_b16_again_and_again() -> None:
    """Twice is enough."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    for number, (version, workspace_id) in enumerate([(6, OTHER_WORKSPACE), (7, WORKSPACE)]):
        scene.engine.push(bound(version, OTHER_AGENT if number else AGENT, workspace_id=workspace_id))
        scene.connector.succeed(number)
        await settle()

    assert failed(dial) == ("WorkspaceChanged", "chat workspace changed while connecting")
    assert scene.connector.released == [0, 1]


async def test_b17_interrupted() -> None:
    """The interrupt comes back unchanged; nothing is reported or asked."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    dial.cancel("by the user")
    with pytest.raises(asyncio.CancelledError, match="by the user"):
        await dial
    scene.connector.succeed(0)
    await settle()

    assert (scene.engine.reports, scene.engine.requests) == ([], 0)
    assert scene.connector.released == [0]


async def test_b17_the_callers_own_limit() -> None:
    """It is the caller's TimeoutError, not ours."""
    scene = Scene(bound())
    await scene.in_use()
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01):
            await scene.dialer.dial(CHAT)

    assert not isinstance(caught.value, DialError)


async def test_b18_rebuilt_with_pushes() -> None:
    """No agent from the request on; the next one is bound by a push, and the context is to be read again."""
    scene = Scene(bound())
    await scene.kept()
    scene.engine.push(replace(building(6), build_id=OTHER_BUILD))
    early = await scene.begun()
    scene.engine.push(bound(7, OTHER_AGENT, OTHER_BUILD))
    dial = await scene.begun()
    scene.connector.succeed(1)

    assert failed(early) == ("NoAgent", NO_AGENT)
    assert (await dial).binding.agent_id == OTHER_AGENT
    assert scene.rebound == [OTHER_AGENT]


@pytest.mark.parametrize("now", [deleted(), a_snapshot(6)])
async def test_b19_deleted_or_purged(now: Any) -> None:  # noqa: ANN401  # a snapshot
    """The next use asks for create_workspace."""
    scene = Scene(bound())
    await scene.kept()
    scene.engine.push(now)

    assert failed(await scene.begun()) == ("NoWorkspace", NO_WORKSPACE)
    assert scene.connector.released == [0]


async def test_b19_no_row() -> None:
    """A chat that nobody has heard of has no workspace either; that is asked once."""
    scene = Scene(None)

    assert failed(await scene.begun()) == ("NoWorkspace", NO_WORKSPACE)
    assert scene.engine.requests == 1


async def test_b20_child_of_a_bound_parent() -> None:
    """The child's snapshot has the parent's triple, which is used like any other."""
    scene = Scene(bound(1))
    dial = await scene.begun()
    scene.connector.succeed(0)
    borrowed = await dial

    assert (borrowed.binding.workspace_id, borrowed.binding.agent_id) == (WORKSPACE, AGENT)


async def test_b21_two_agents() -> None:
    """The engine's words on why it could not choose."""
    scene = Scene(ambiguous())

    assert failed(await scene.begun()) == ("AgentNotFound", "find chat agent: multiple agents match")
