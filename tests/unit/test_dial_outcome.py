"""The rows of domain.md 8.4 that no scenario shows: what is kept, external agents, the limit, and around it."""

import asyncio
from typing import Any

import pytest

from tests.bus_messages import AGENT, CHAT
from tests.dialing import (
    AWAY,
    NO_AGENT,
    OTHER_AGENT,
    OTHER_BUILD,
    TIMED_OUT,
    Scene,
    bound,
    failed,
    named,
    stopped,
)
from tests.fake_clock import settle
from workspaced.bus import dial_errors
from workspaced.bus.dial import Dialer
from workspaced.bus.dial_errors import DialError
from workspaced.fsm.errors import Unavailable

NOT_YET = (
    "the workspace uses an externally managed agent that has not connected yet; "
    "the user has to start it on its host and then try again"
)
OFFLINE = (
    "the workspace uses an externally managed agent that is currently offline; "
    "the user has to reconnect it on its host and then try again"
)


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


def test_every_error_has_a_word() -> None:
    """Its own, for programs."""
    kinds = [kind for kind in vars(dial_errors).values() if isinstance(kind, type) and issubclass(kind, DialError)]

    assert len({kind.code for kind in kinds}) == len(kinds)
