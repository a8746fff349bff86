"""The rows of domain.md 8.2 to 8.4 that no scenario shows."""

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
    Scene,
    a_workspace,
    ambiguous,
    bound,
    building,
    stopped,
)
from tests.fake_clock import settle
from tests.unit.test_dial_scenarios import NO_AGENT, TIMED_OUT, failed, named
from workspaced.bus.dial import Dialer
from workspaced.bus.dial_errors import ConnectorMissing, DialError
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.snapshot import Snapshot

NOT_YET = (
    "the workspace uses an externally managed agent that has not connected yet; "
    "the user has to start it on its host and then try again"
)
OFFLINE = (
    "the workspace uses an externally managed agent that is currently offline; "
    "the user has to reconnect it on its host and then try again"
)


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


# --- the kept connection ----------------------------------------------------------------------------------------------


async def test_two_calls_at_once() -> None:
    """Whoever is second releases theirs and uses the first one's."""
    scene = Scene(bound())
    await scene.in_use()
    first, second = await scene.begun(), await scene.begun()
    scene.connector.succeed(1)
    await settle()
    scene.connector.succeed(0)
    one, other = await first, await second
    await settle()

    assert one.connection is other.connection
    assert (one.connection.number, scene.connector.released) == (1, [0])


async def test_closed_by_its_last_borrower() -> None:
    """Dropped while it is lent, it lives until it was given back, and is closed once."""
    scene = Scene(bound())
    await scene.kept()
    one, other = await scene.dialer.dial(CHAT), await scene.dialer.dial(CHAT)
    scene.engine.push(stopped())
    one.give_back()
    one.give_back()
    await settle()

    assert scene.connector.released == []

    other.give_back()
    await settle()

    assert scene.connector.released == [0]


async def test_leave_and_close() -> None:
    """Nothing is left: no follower, no connection."""
    scene = Scene(bound())
    await scene.kept()
    await scene.dialer.close()

    assert (scene.engine.followers, scene.connector.released) == ([], [0])
    assert scene.dialer.held(CHAT) is None


async def test_a_release_that_fails() -> None:
    """Nobody is bothered."""
    scene = Scene(bound())

    async def connector(agent_id: str) -> tuple[str, Any]:
        async def release() -> None:
            raise OSError(agent_id)

        return agent_id, release

    dialer = Dialer(scene.engine, connector, clock=scene.clock)
    (await dialer.dial(CHAT)).give_back()
    await dialer.close()


# --- external agents --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("link", "text"), [("timeout", NOT_YET), ("disconnected", OFFLINE)])
async def test_external_agent_away(link: Any, text: str) -> None:  # noqa: ANN401  # a link
    """No dial, no report."""
    scene = Scene(bound(link=link, external=True))
    await scene.in_use()

    assert failed(await scene.begun()) == ("ExternalAgentAway", text)
    assert (scene.connector.dialed, scene.engine.reports) == ([], [])


async def test_external_agent_away_engine_too() -> None:
    """What is held counts when nothing newer can be had."""
    scene = Scene(bound(link="disconnected", external=True))
    await scene.in_use()
    scene.engine.now = AWAY

    assert failed(await scene.begun()) == ("ExternalAgentAway", OFFLINE)


async def test_external_agent_is_another_one_now() -> None:
    """The held one is not the selected one any more: the new one is dialed."""
    scene = Scene(bound(link="disconnected", external=True))
    await scene.in_use()
    scene.engine.now = bound(9, OTHER_AGENT, OTHER_BUILD)
    dial = await scene.begun()
    scene.connector.succeed(0)

    assert (await dial).binding.agent_id == OTHER_AGENT


async def test_external_agent_on_its_way() -> None:
    """While connecting it is dialed; when that takes too long, its host's owner has to act."""
    scene = Scene(bound(link="connecting", external=True))
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(30)

    assert scene.connector.dialed == [AGENT]
    assert failed(dial) == ("ExternalAgentAway", NOT_YET)
    assert scene.engine.reports == []


# --- the time limit ---------------------------------------------------------------------------------------------------


async def test_limit_and_stopped() -> None:
    """The fresh snapshot has no agent: *no agent*, not reported."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(29)
    scene.engine.now = stopped()
    await scene.clock.pass_time(1)

    assert failed(dial) == ("NoAgent", NO_AGENT)
    assert scene.engine.reports == []


async def test_limit_and_no_engine() -> None:
    """*Dial timeout*, reported to whoever comes back."""
    scene = Scene(bound())
    await scene.in_use()
    scene.engine.now = AWAY
    dial = await scene.begun()
    await scene.clock.pass_time(30)

    assert failed(dial) == ("DialTimeout", TIMED_OUT)
    assert len(named(scene)) == 1


async def test_limit_and_an_engine_that_does_not_answer() -> None:
    """The caller is told five seconds later all the same."""
    scene = Scene(bound())
    await scene.in_use()
    dial = await scene.begun()
    await scene.clock.pass_time(29)
    scene.engine.next = [asyncio.get_running_loop().create_future()]
    await scene.clock.pass_time(5)

    assert not dial.done()

    await scene.clock.pass_time(1)

    assert failed(dial) == ("DialTimeout", TIMED_OUT)


async def test_limit_drops_what_is_held() -> None:
    """The kept connection too; the next dial begins with what the fresh `get` said."""
    scene = Scene(bound(link="disconnected"))
    await scene.in_use()
    dial = await scene.begun()
    scene.engine.now = bound(8)
    await scene.clock.pass_time(30)

    assert failed(dial)[0] == "DialTimeout"
    assert scene.dialer.held(CHAT) == bound(8)


# --- around it --------------------------------------------------------------------------------------------------------


async def test_discover() -> None:
    """A stopped workspace does not hold up a turn; neither does an agent that hangs."""
    scene = Scene(stopped())

    assert await scene.dialer.discover(CHAT) is None

    scene.engine.push(bound(8))
    hanging = asyncio.create_task(scene.dialer.discover(CHAT))
    await settle()
    await scene.clock.pass_time(5)

    assert await hanging is None

    working = asyncio.create_task(scene.dialer.discover(CHAT))
    await settle()
    scene.connector.succeed(1)

    assert (await working) is not None
    assert scene.engine.reports == []


async def test_touch() -> None:
    """Once per minute, and only if it was said that the workspace has a TTL."""
    scene = Scene(bound())
    await scene.kept()
    (await scene.dialer.dial(CHAT)).give_back()
    await settle()

    assert scene.engine.touched == []

    scene.with_ttl = True
    for seconds in (0, 59.9, 0.1, 30):
        await scene.clock.pass_time(seconds)
        (await scene.dialer.dial(CHAT)).give_back()
        await settle()

    assert scene.engine.touched == [CHAT, CHAT]


async def test_the_connection_to_nats_is_closed() -> None:
    """What is held is dropped; the next use finds out."""
    scene = Scene(bound())
    await scene.kept()
    scene.engine.now = Unavailable("the connection to NATS is closed")
    scene.engine.followers[0].end(AWAY)
    await settle()

    assert scene.connector.released == [0]
    assert failed(await scene.begun())[1] == "reload chat workspace state: the connection to NATS is closed"


async def test_old_pushes_change_nothing() -> None:
    """A version that is not newer is dropped."""
    scene = Scene(bound(5))
    await scene.kept()
    scene.engine.followers[0].offer(stopped(4))

    assert scene.dialer.held(CHAT) == bound(5)
    assert scene.connector.released == []


def test_errors_are_ours() -> None:
    """Whoever catches WorkspacedError catches them."""
    assert DialError.__mro__[1].__name__ == "WorkspacedError"
