"""The rows of domain.md 8.2 and 8.3 that no scenario shows: resolving, lazy validation, abandoned dials."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tests.bus_messages import AGENT, BUILD, CHAT
from tests.dialing import (
    AWAY,
    OTHER_AGENT,
    OTHER_BUILD,
    OTHER_WORKSPACE,
    TIMED_OUT,
    Scene,
    a_workspace,
    ambiguous,
    bound,
    building,
    failed,
)
from tests.fake_clock import settle
from workspaced.bus.dial import Dialer
from workspaced.bus.dial_errors import ConnectorMissing
from workspaced.fsm.snapshot import Snapshot

# --- resolve ----------------------------------------------------------------------------------------------------------


async def test_the_first_use_reads_once() -> None:
    """Subscribing brings the snapshot; it is the only request."""
    scene = Scene(bound())
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).requests == 1


async def test_the_engine_is_away() -> None:
    """At the first use nothing is held."""
    scene = Scene(None)
    scene.engine.now = AWAY

    assert failed(await scene.begun()) == ("ReloadFailed", "reload chat workspace state: the engine is away")

    scene.engine.now = bound()
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).requests == 1


async def test_a_missing_agent_cannot_be_asked_for() -> None:
    """As little as a missing workspace."""
    scene = Scene(building())
    await scene.in_use()
    scene.engine.now = AWAY

    assert failed(await scene.begun())[1] == "reload chat workspace state: the engine is away"


async def test_the_workspace_changes_while_resolving() -> None:
    """The second time is the last."""
    scene = Scene(building())
    await scene.in_use()
    elsewhere = building(6)
    scene.engine.next = [
        _in_workspace(elsewhere, OTHER_WORKSPACE, 6),
        _in_workspace(elsewhere, OTHER_AGENT, 7),
    ]

    assert failed(await scene.begun()) == ("WorkspaceChanged", "chat workspace changed while resolving agent")


async def test_the_new_workspace_is_resolved() -> None:
    """After one change the new workspace's agent is used."""
    scene = Scene(building())
    await scene.in_use()
    scene.engine.now = bound(6, OTHER_AGENT, workspace_id=OTHER_WORKSPACE)
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).binding.workspace_id == OTHER_WORKSPACE


def _in_workspace(snapshot: Snapshot, workspace_id: str, version: int) -> Snapshot:
    return replace(snapshot, workspace=a_workspace(workspace_id), version=version)


async def test_concurrent_first_uses_share_one_read() -> None:
    """One subscription per chat."""
    scene = Scene(bound())
    dials = [scene.begin() for _ in range(5)]
    await settle()

    assert (scene.engine.requests, len(scene.engine.followers)) == (1, 1)

    for number in range(5):
        scene.connector.succeed(number)
    await asyncio.gather(*dials)


async def test_no_connector() -> None:
    """It is said in these words."""
    dialer: Dialer[Any] = Dialer(Scene(bound()).engine)
    with pytest.raises(ConnectorMissing, match=r"^workspace agent connector is not configured$"):
        await dialer.dial(CHAT)


# --- lazy validation --------------------------------------------------------------------------------------------------


async def test_fails_before_the_timer_second_dial_succeeds() -> None:
    """The same agent is dialed once more."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()
    scene.connector.succeed(1)
    borrowed = await dial

    assert (borrowed.switched, borrowed.requests, scene.engine.reports) == (False, 1, [])


async def test_fails_before_the_timer_validation_fails() -> None:
    """Its error is the cause; nothing is reported."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = AWAY
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()

    assert failed(dial) == ("DialFailed", "dial with lazy validation: the engine is away")
    assert scene.engine.reports == []


async def test_the_other_agent_fails_too() -> None:
    """Two dials failed, but not for one agent: not reported."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = bound(9, OTHER_AGENT, OTHER_BUILD)
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()
    scene.connector.fail(1, ConnectionResetError("gone"))
    await settle()

    assert failed(dial) == ("DialFailed", "dial with lazy validation: gone")
    assert scene.engine.reports == []


async def test_timer_same_agent_then_failure() -> None:
    """The first dial's failure is the cause; there is no second dial and no report."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(6)
    scene.connector.fail(0)
    await settle()

    assert failed(dial) == ("DialFailed", "dial with lazy validation: nobody listens")
    assert (scene.connector.dialed, scene.engine.reports, scene.engine.requests) == ([AGENT], [], 1)


async def test_validated_once() -> None:
    """However long the dial takes."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(29)
    scene.connector.succeed(0)
    await dial

    assert scene.engine.requests == 1


async def test_a_dial_that_comes_while_validating() -> None:
    """It is used at once, though the answer to `get` is still out."""
    scene = Scene(bound())
    await scene.in_use()
    answer: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
    scene.engine.next = [answer]
    dial = await scene.begun()
    await scene.clock.pass_time(5)
    scene.connector.succeed(0)
    borrowed = await dial
    await settle()

    assert (borrowed.switched, answer.cancelled()) == (False, True)


async def test_fails_while_validating() -> None:
    """What validation says counts: here the right agent."""
    scene = Scene(bound())
    await scene.in_use()
    answer: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
    scene.engine.next = [answer]
    dial = await scene.begun()
    await scene.clock.pass_time(5)
    scene.connector.fail(0)
    await settle()
    answer.set_result(bound(9, OTHER_AGENT, OTHER_BUILD))
    await settle()
    scene.connector.succeed(1)

    assert (await dial).switched


async def test_ambiguous_now() -> None:
    """Validation finds two agents: the engine's words."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = ambiguous(9)
    dial = await scene.begun()
    scene.connector.fail(0)
    await settle()

    assert failed(dial)[1] == "find chat agent: multiple agents match"


async def test_canceled_in_the_moment_of_success() -> None:
    """A dial that is already there wins."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    scene.connector.succeed(0)
    for _ in range(20):
        await asyncio.sleep(0)
        attempts = [task for task in asyncio.all_tasks() if "_dial" in str(task.get_coro())]
        if not any(not task.done() for task in attempts if task is not dial):
            break
    dial.cancel()
    await asyncio.wait([dial])

    assert not dial.cancelled()
    assert dial.result().connection.number == 0


async def test_another_build_answers() -> None:
    """A connection that tells its build is checked by it, and released when it is another."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    scene.connector.succeed(0, build_id=OTHER_BUILD)
    await settle()
    scene.connector.succeed(1, build_id=BUILD)
    borrowed = await dial

    assert borrowed.connection.number == 1
    assert scene.connector.released == [0]


# --- abandoned dials --------------------------------------------------------------------------------------------------


async def abandoned() -> Scene:
    """The first dial hangs and was abandoned for another agent, which is connected."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = bound(9, OTHER_AGENT, OTHER_BUILD)
    dial = await scene.begun()
    await scene.clock.pass_time(5)
    scene.connector.succeed(1)
    await dial
    return scene


async def test_succeeds_late() -> None:
    """Released once, in the background; the connection in use is not touched."""
    scene = await abandoned()
    scene.connector.succeed(0)
    await settle()
    await scene.clock.pass_time(60)

    assert scene.connector.released == [0]


async def test_succeeds_late_while_the_new_one_is_dialed() -> None:
    """It is not used and not kept waiting."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = bound(9, OTHER_AGENT, OTHER_BUILD)
    dial = await scene.begun()
    await scene.clock.pass_time(5)
    scene.connector.succeed(0)
    await settle()

    assert (scene.connector.released, dial.done()) == ([0], False)

    scene.connector.succeed(1)

    assert (await dial).connection.number == 1


async def test_fails_late() -> None:
    """There is nothing to release."""
    scene = await abandoned()
    scene.connector.fail(0)
    await settle()

    assert scene.connector.released == []


async def test_never_ends() -> None:
    """It is given up when the dial limit has passed once more, so that nothing piles up."""
    scene = await abandoned()
    await scene.clock.pass_time(30)

    assert scene.connector._outcomes[0].cancelled()  # noqa: SLF001  # the task that waited for it was canceled
    assert scene.clock.waiting == 0


async def test_abandoned_by_the_limit() -> None:
    """A dial that succeeds after the caller was told of the time limit is released."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(30)

    assert failed(dial) == ("DialTimeout", TIMED_OUT)

    scene.connector.succeed(0)
    await settle()

    assert scene.connector.released == [0]
