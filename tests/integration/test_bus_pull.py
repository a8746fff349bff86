"""Taking from durable consumers of a real server: one when quiet, many under load, on through restarts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from nats.aio.client import Client

from tests.bus_messages import WORKSPACE, an_id
from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.connection import flush
from workspaced.bus.publish import Message, Publisher, with_id
from workspaced.bus.pull import MOST_BYTES, Intake, ack, nak, term
from workspaced.bus.streams import Limits
from workspaced.fsm.errors import Unavailable

CONSUMERS = [(streams.EVENTS, streams.ENGINE), (streams.TIMERS, streams.ENGINE)]
Send = Callable[..., Awaitable[None]]
LARGE = 300
"""Messages that together are more than a server has for one connection, 64 MiB."""


@pytest.fixture
async def admin(connect: Connections) -> Client:
    """An administrator, once the streams are there; this time without advisories, which would come in between."""
    admin = await connect("admin")
    await ensure_quiet(admin)
    return admin


async def ensure_quiet(admin: Client) -> None:
    """The streams and consumers, but EVENTS holds only what the tests send."""
    limits = Limits(ack_wait=timedelta(seconds=1))
    await jetstream.ensure(admin, limits=limits)
    events = next(stream for stream in streams.stream_definitions(limits) if stream["name"] == streams.EVENTS)
    quiet = events | {"subjects": [subject for subject in events["subjects"] if not subject.startswith("ws.sys")]}
    await jetstream.request(admin, "STREAM.UPDATE.EVENTS", quiet)
    await jetstream.request(admin, "STREAM.PURGE.EVENTS")


@pytest.fixture
async def engine(connect: Connections, admin: Client) -> Client:  # noqa: ARG001  # the streams must be there
    """An engine's connection."""
    return await connect("engine")


@pytest.fixture
async def intake(engine: Client) -> AsyncIterator[Intake]:
    """Both consumers of an engine, sixteen at once."""
    intake = Intake(engine, CONSUMERS, cap=16)
    await intake.start()
    yield intake
    await intake.stop()


@pytest.fixture
async def send(admin: Client) -> Send:
    """Stores events with the given bodies' numbers."""
    publisher = Publisher(admin)
    await publisher.start()

    async def send(*numbers: int) -> None:
        await publisher.publish(
            Message(subjects.build_created(WORKSPACE), str(number).encode(), with_id(str(number))) for number in numbers
        )

    return send


async def test_one_when_quiet(intake: Intake, send: Send) -> None:
    """A message that comes alone is delivered alone, at once, with all that is known of it."""
    taking = asyncio.create_task(intake.take())
    await send(1)
    (stored,) = await taking

    assert (stored.stream, stored.deliveries, stored.body) == ("EVENTS", 1, b"1")
    assert stored.headers == {"Nats-Msg-Id": "1"}


async def test_many_under_load(intake: Intake, send: Send) -> None:
    """What came meanwhile comes together, up to the cap, in order and once."""
    await send(*range(100))
    sizes: list[int] = []
    bodies: list[int] = []
    while len(bodies) < 100:
        batch = await intake.take()
        sizes.append(len(batch))
        bodies += [int(stored.body) for stored in batch]

    assert bodies == list(range(100))
    assert max(sizes) == 16


async def test_large_messages(engine: Client, admin: Client) -> None:
    """What is on its way is bounded in bytes, or the server drops the connection; it comes in order and once."""
    intake = Intake(engine, CONSUMERS)
    body = b"x" * (MAX_BODY - 1000)
    for number in range(LARGE):
        await admin.jetstream().publish(subjects.build_created(WORKSPACE), b"%d " % number + body)
    numbers: list[int] = []
    sizes: list[int] = []

    await intake.start()
    while len(numbers) < LARGE:
        batch = await intake.take()
        await flush(engine)  # until then nothing is taken of what was asked for
        numbers += [int(stored.body.partition(b" ")[0]) for stored in batch]
        sizes.append(sum(len(stored.body) for stored in batch))
        await ack(engine, batch)
    await intake.stop()

    assert numbers == list(range(LARGE))
    assert max(sizes) <= 3 * MOST_BYTES
    assert not any(pull.silent for pull in intake.pulls)


async def test_both_streams_in_one_batch(intake: Intake, send: Send, admin: Client) -> None:
    """A timer that fired wakes the same caller; events stand first."""
    await admin.jetstream().publish(subjects.due("chat", an_id(1)), b"due")
    await send(1)
    batch = await intake.take()
    while len(batch) < 2:
        batch += await intake.take()

    assert {stored.stream for stored in batch} == {"EVENTS", "TIMERS"}


async def test_acknowledged_messages_are_done(intake: Intake, send: Send, admin: Client, engine: Client) -> None:
    """The consumer has nothing left to deliver again."""
    await send(1, 2, 3)
    taken = await intake.take()
    while len(taken) < 3:
        taken += await intake.take()
    await ack(engine, taken[:2])
    await term(engine, taken[2:], "nobody could use it")
    await flush(engine)
    info = await jetstream.request(admin, "CONSUMER.INFO.EVENTS.engine")

    assert (info["num_ack_pending"], info["num_redelivered"]) == (0, 0)


@pytest.mark.parametrize("give_back", [True, False])
async def test_redelivery(intake: Intake, send: Send, engine: Client, give_back: bool) -> None:
    """What is given back, or not acknowledged within ack_wait, comes again under the same key."""
    await send(1)
    (first,) = await intake.take()
    if give_back:
        await nak(engine, [first])
    (second,) = await intake.take()

    assert (first.key, 1, 2) == (second.key, first.deliveries, second.deliveries)


async def test_stop_hands_back(intake: Intake, send: Send) -> None:
    """What was delivered and not taken is the caller's to decide; no more is asked for."""
    taking = asyncio.create_task(intake.take())
    await send(*range(5))
    taken = await taking
    rest = await intake.stop()

    assert sorted(int(stored.body) for stored in taken + rest) == list(range(5))


async def test_on_after_a_server_restart(intake: Intake, send: Send, connect: Connections, nats: NatsServer) -> None:
    """A killed server that comes back serves on, though its requests are gone."""
    await send(1)
    await intake.take()
    taking = asyncio.create_task(intake.take())
    await nats.kill()
    await nats.start()
    back = await connect("admin")
    await back.jetstream().publish(subjects.build_created(WORKSPACE), b"2")
    batch = await taking
    while b"2" not in {stored.body for stored in batch}:
        batch = await intake.take()

    assert {stored.stream for stored in batch} == {"EVENTS"}


async def test_a_reconnect_need_not_wait_for_heartbeats(intake: Intake, send: Send) -> None:
    """The connection's callback has the requests made anew at once."""
    intake.reconnected()
    taking = asyncio.create_task(intake.take())
    await send(1)

    assert [stored.body for stored in await taking] == [b"1"]


async def test_a_deleted_consumer_is_reported(intake: Intake, admin: Client, engine: Client, send: Send) -> None:
    """The caller checks the streams again, and goes on once the consumer is back."""
    taking = asyncio.create_task(intake.take())
    await asyncio.sleep(0)
    await engine.flush()
    await jetstream.request(admin, "CONSUMER.DELETE.EVENTS.engine")
    with pytest.raises(Unavailable):
        await taking
    await ensure_quiet(admin)
    await send(1)

    assert [stored.body for stored in await intake.take()] == [b"1"]
