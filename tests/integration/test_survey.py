"""Reading all of a stream: also from a copy that is behind the leader, as a cluster has them."""

from contextlib import aclosing

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from tests.bus_messages import CHAT
from tests.servers import Connections
from workspaced.bus import jetstream, streams, subjects, survey
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.look_up import Found, StreamState, remove, stream_state
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.pull import MOST_BYTES
from workspaced.fsm.errors import Unavailable


@pytest.fixture
async def engine(connect: Connections) -> Publisher:
    """Two messages are in CHATS."""
    await jetstream.ensure(await connect("admin"))
    publisher = Publisher(await connect("engine"))
    await publisher.start()
    await publisher.publish([push("creating"), push("building")])
    return publisher


def push(state: str) -> Message:
    """A message of CHATS, under its state's subject."""
    return Message(subjects.chat(CHAT, state), b"{}")


async def read(admin: Client) -> list[int]:
    """The sequences of all that CHATS holds."""
    async with aclosing(survey.headers_of(admin, streams.CHATS)) as pages:
        return [stored.sequence async for page in pages for stored in page]


async def test_large_messages(engine: Publisher, connect: Connections) -> None:
    """A page is bounded in bytes: what the server has for a connection may not exceed 64 MiB, or it drops that."""
    for _ in range(20):
        await engine.publish([Message(subjects.chat(CHAT, "ready"), b"x" * MAX_BODY) for _ in range(15)])
    admin = await connect("admin")

    async with aclosing(survey.headers_of(admin, streams.CHATS, bodies=True)) as pages:
        sizes = [(len(page), sum(len(stored.body) for stored in page)) async for page in pages]

    assert sum(count for count, _ in sizes) == 302
    assert max(size for _, size in sizes) <= MOST_BYTES


@pytest.fixture
def leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leader has a third message, which the copy that is read has not."""

    async def state_of_leader(admin: Client, stream: str) -> StreamState:
        return replace(await stream_state(admin, stream), last_sequence=3)

    monkeypatch.setattr(survey, "stream_state", state_of_leader)


@pytest.mark.usefixtures("leader")
async def test_a_copy_catches_up(engine: Publisher, connect: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there yet is waited for."""

    async def next_of_leader(*_: object) -> Found:
        await engine.publish([push("ready")])
        return Found(3, b"", {})

    monkeypatch.setattr(survey, "next_of", next_of_leader)

    assert await read(await connect("admin")) == [1, 2, 3]


@pytest.mark.usefixtures("leader", "engine")
async def test_a_copy_stays_behind(connect: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it is never taken for all."""

    async def next_of_leader(*_: object) -> Found:
        return Found(3, b"", {})

    monkeypatch.setattr(survey, "next_of", next_of_leader)
    monkeypatch.setattr(survey, "_WAIT", 1_000_000)

    with pytest.raises(Unavailable, match="behind its leader"):
        await read(await connect("admin"))


@pytest.mark.usefixtures("engine")
async def test_the_last_one_is_gone(connect: Connections) -> None:
    """A stream's last sequence need not be there."""
    admin = await connect("admin")
    await remove(admin, streams.CHATS, 2)

    assert await read(admin) == [1]
