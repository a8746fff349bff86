"""Publishing on a real server: each message is known to be stored, or the call says which is not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from nats.aio.client import Client

from tests.bus_messages import BUILD, CHAT, JOB, NOW, WORKSPACE, a_row
from tests.servers import Connections
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.announce import effect_message, messages_of
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.connection import flush
from workspaced.bus.publish import Message, NotStored, Publisher, with_id
from workspaced.bus.pull import Pull, ack
from workspaced.fsm.effects import ChatDeadline, PurgeJob, SetTimer, StopJob
from workspaced.fsm.errors import Unavailable

EVENT = subjects.build_created(WORKSPACE)


@pytest.fixture
async def admin(connect: Connections) -> Client:
    """An administrator, once the streams are there."""
    admin = await connect("admin")
    await jetstream.ensure(admin, ("local",))
    return admin


@pytest.fixture
async def publisher(connect: Connections, admin: Client) -> Publisher:  # noqa: ARG001  # the streams must be there
    """An engine's publisher."""
    publisher = Publisher(await connect("engine"))
    await publisher.start()
    return publisher


@pytest.fixture
async def as_admin(admin: Client) -> Publisher:
    """A publisher that may publish anything."""
    publisher = Publisher(admin, timedelta(seconds=1))
    await publisher.start()
    return publisher


async def stored(admin: Client, stream: str) -> int:
    """Messages in a stream."""
    count: int = (await jetstream.request(admin, f"STREAM.INFO.{stream}"))["state"]["messages"]
    return count


async def test_a_batch_is_stored(publisher: Publisher, admin: Client) -> None:
    """When the call returns, all of it is in the streams, and a repetition adds nothing."""
    rows = [a_row(version) for version in range(1, 301)]
    await publisher.publish(messages_of(rows))
    await publisher.publish(messages_of(rows))

    assert await stored(admin, "CHATS") == 300


async def test_answers_that_overtake_the_sending(as_admin: Publisher, admin: Client) -> None:
    """A batch larger than the client's buffer is answered in part before it is sent; still all of it is waited for."""
    await as_admin.publish(Message(EVENT, bytes(4096), with_id(str(number))) for number in range(1500))

    assert await stored(admin, "EVENTS") >= 1500


async def test_a_refusal_in_the_middle(as_admin: Publisher, admin: Client) -> None:
    """One message too large for its stream is named; those around it are stored."""
    batch = [Message(EVENT, b"x" * (MAX_BODY + 1 if number == 5 else 10), with_id(str(number))) for number in range(10)]
    with pytest.raises(NotStored) as caught:
        await as_admin.publish(batch)

    assert [refusal.message for refusal in caught.value.refusals] == [batch[5]]
    assert caught.value.missing == 0
    assert await stored(admin, "EVENTS") == 9


async def test_what_the_client_itself_refuses(as_admin: Publisher) -> None:
    """A payload above the server's limit is a refusal like any other."""
    with pytest.raises(NotStored) as caught:
        await as_admin.publish([Message(EVENT, b"x" * 2_000_000)])

    assert "MaxPayloadError" in caught.value.refusals[0].reason


async def test_no_stream(as_admin: Publisher) -> None:
    """A subject that no stream takes is known at once."""
    with pytest.raises(NotStored) as caught:
        await as_admin.publish([Message("nobody.listens", b"")])

    assert "no stream" in caught.value.refusals[0].reason


async def test_no_answer(as_admin: Publisher, admin: Client) -> None:
    """Silence counts as not stored: the inputs must not be acknowledged."""
    await admin.subscribe("somebody.listens")
    with pytest.raises(Unavailable) as caught:
        await as_admin.publish([Message("somebody.listens", b"")])

    assert isinstance(caught.value, NotStored)
    assert caught.value.missing == 1


async def test_plain_messages_are_not_waited_for(publisher: Publisher, connect: Connections) -> None:
    """A batch of plain messages ends when it is sent."""
    provisioner = await connect("provisioner")
    listening = await provisioner.subscribe(subjects.ALL_CANCELS)
    await flush(provisioner)
    await publisher.publish([effect_message(StopJob(JOB, BUILD, WORKSPACE, "canceled"), NOW)])

    assert (await listening.next_msg(timeout=10)).subject == f"ws.cancel.{JOB}"


async def test_calls_do_not_mix(publisher: Publisher, admin: Client) -> None:
    """Several calls at once each wait for their own answers."""
    await asyncio.gather(*(publisher.publish([Message(subjects.chat(CHAT, "idle"), b"")] * 50) for _ in range(10)))

    assert await stored(admin, "CHATS") == 500


async def test_a_job_is_purged(publisher: Publisher, as_admin: Publisher, admin: Client) -> None:
    """Only the job named leaves the queue."""
    await as_admin.publish([Message(subjects.job("local", job), b"") for job in (JOB, BUILD)])
    await publisher.publish([effect_message(PurgeJob("local", JOB), NOW)])

    assert await stored(admin, "JOBS") == 1


@pytest.fixture
async def timers(connect: Connections, admin: Client) -> AsyncIterator[Pull]:  # noqa: ARG001  # the streams
    """An engine's consumer of due timers."""
    engine = await connect("engine")
    pull = Pull(engine, streams.TIMERS, streams.ENGINE)
    await pull.start()
    yield pull
    await pull.stop()


async def test_a_timer_fires(publisher: Publisher, timers: Pull) -> None:
    """It comes back when it is due, not before."""
    at = datetime.now(UTC) + timedelta(seconds=0.3)
    await publisher.publish([effect_message(SetTimer(at, ChatDeadline(CHAT, 1)), NOW)])
    (fired,) = await timers.take()

    assert fired.subject == subjects.due("chat", CHAT)
    assert at <= fired.at


async def test_a_slot_holds_one_timer(publisher: Publisher, timers: Pull, admin: Client) -> None:
    """A later one replaces what was set before, also one that would have been due sooner."""
    soon, sooner = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (0.5, 0.2))
    await publisher.publish([effect_message(SetTimer(sooner, ChatDeadline(CHAT, 1)), NOW)])
    await publisher.publish([effect_message(SetTimer(soon, ChatDeadline(CHAT, 2)), NOW)])
    (fired,) = await timers.take()

    assert b'"version":2' in fired.body
    assert await stored(admin, "TIMERS") == 1  # what fired and is not acknowledged


async def test_a_timer_of_the_past_fires_at_once(publisher: Publisher, timers: Pull) -> None:
    """An overdue deadline that is set again needs no other way."""
    await publisher.publish([effect_message(SetTimer(NOW - timedelta(days=3650), ChatDeadline(CHAT, 1)), NOW)])

    assert len(await timers.take()) == 1


async def test_fired_timers_do_not_pile_up(
    publisher: Publisher, timers: Pull, admin: Client, connect: Connections
) -> None:
    """What fired leaves the stream when it is acknowledged; what is still to come stays."""
    past, future = datetime.now(UTC), datetime.now(UTC) + timedelta(days=400)
    await publisher.publish([effect_message(SetTimer(past, ChatDeadline(chat, 1)), NOW) for chat in (CHAT, JOB)])
    await publisher.publish([effect_message(SetTimer(future, ChatDeadline(BUILD, 1)), NOW)])
    fired = await timers.take()
    while len(fired) < 2:
        fired += await timers.take()
    engine = await connect("engine")
    for message in fired:
        await engine.request(message.ack, b"+ACK", timeout=10)

    assert await stored(admin, "TIMERS") == 1


async def test_acks_of_a_pull(publisher: Publisher, timers: Pull, connect: Connections, admin: Client) -> None:
    """The batch form does the same."""
    await publisher.publish([effect_message(SetTimer(NOW, ChatDeadline(CHAT, 1)), NOW)])
    engine = await connect("engine")
    await ack(engine, await timers.take())
    await flush(engine)
    info = await jetstream.request(admin, "CONSUMER.INFO.TIMERS.engine")

    assert info["num_ack_pending"] == 0
