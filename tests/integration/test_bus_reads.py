"""Reading LOGS and DEAD by page with an engine's permissions."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from tests.bus_messages import BUILD, NOW, WORKSPACE, a_stored, an_id
from tests.servers import Connections
from workspaced.bus import jetstream, subjects
from workspaced.bus.dead import dead_message, read_dead
from workspaced.bus.logs import read_logs
from workspaced.bus.messages import DeadRequest, LogEnd, LogLine, LogsRequest
from workspaced.bus.publish import Message, Publisher
from workspaced.fsm.errors import Unavailable, UndecodableMessage


@pytest.fixture
async def engine(connect: Connections) -> Client:
    """An engine's connection; the streams are there."""
    await jetstream.ensure(await connect("admin"))
    return await connect("engine")


async def publish(connect: Connections, role: str, messages: Sequence[Message]) -> None:
    """Have `messages` stored."""
    publisher = Publisher(await connect(role))
    await publisher.start()
    await publisher.publish(messages)


def a_line(seq: int, output: str = "", build_id: str = BUILD) -> Message:
    """A line of a build's log."""
    line = LogLine(NOW, "apply", "info", output or f"line {seq}", seq)
    return Message(subjects.log(WORKSPACE, build_id), msgspec.json.encode(line))


def the_end(seq: int) -> Message:
    """The end of the build's log."""
    return Message(subjects.log(WORKSPACE, BUILD), msgspec.json.encode(LogEnd(seq)))


async def test_all_lines_for_late_readers(engine: Client, connect: Connections) -> None:
    """Whoever comes after the end reads everything, without other builds' lines."""
    lines: list[Message] = []
    for seq in range(1, 4):
        lines += [a_line(seq), a_line(seq, "other", an_id(77))]
    await publish(connect, "provisioner", [*lines, the_end(4)])
    page = await read_logs(engine, LogsRequest(BUILD))

    assert [(line.seq, line.output) for line in page.lines] == [(1, "line 1"), (2, "line 2"), (3, "line 3")]
    assert (page.has_more, page.ended) == (False, True)


async def test_pages(engine: Client, connect: Connections) -> None:
    """A page ends at its limit, the next begins behind it."""
    await publish(connect, "provisioner", [a_line(seq) for seq in range(1, 6)])
    first = await read_logs(engine, LogsRequest(BUILD, limit=3))
    second = await read_logs(engine, LogsRequest(BUILD, after=first.lines[-1].seq, limit=3))

    assert ([line.seq for line in first.lines], first.has_more, first.ended) == ([1, 2, 3], True, False)
    assert ([line.seq for line in second.lines], second.has_more, second.ended) == ([4, 5], False, False)


async def test_a_second_attempt(engine: Client, connect: Connections) -> None:
    """A provisioner that takes over counts from 1 again: its lines follow, none is lost between pages."""
    attempts = [a_line(1), a_line(2), the_end(3), a_line(1, "again"), a_line(2, "and again")]
    await publish(connect, "provisioner", attempts)
    page = await read_logs(engine, LogsRequest(BUILD))
    rest = await read_logs(engine, LogsRequest(BUILD, after=4))

    assert [(line.seq, line.output) for line in page.lines] == [
        (1, "line 1"),
        (2, "line 2"),
        (4, "again"),
        (5, "and again"),
    ]
    assert [line.output for line in rest.lines] == ["and again"]
    assert not page.ended


async def test_a_long_log(engine: Client, connect: Connections) -> None:
    """More lines than one read of the stream brings, and more bytes than one reply holds."""
    await publish(connect, "provisioner", [a_line(seq, "x" * 1000) for seq in range(1, 2501)])
    seen: list[int] = []
    more = True
    while more:
        page = await read_logs(engine, LogsRequest(BUILD, after=seen[-1] if seen else 0, limit=1000))
        seen += [line.seq for line in page.lines]
        more = page.has_more
        assert len(msgspec.json.encode(page)) < 1_000_000

    assert seen == list(range(1, 2501))


@pytest.mark.parametrize("nonsense", [b"?", b"{}", b'{"at": 5}', b'{"seq": 3}'])
async def test_nonsense_between_lines(engine: Client, connect: Connections, nonsense: bytes) -> None:
    """What is no line is left out."""
    await publish(
        connect, "provisioner", [a_line(1), Message(subjects.log(WORKSPACE, BUILD), nonsense), a_line(2), the_end(3)]
    )
    page = await read_logs(engine, LogsRequest(BUILD))

    assert ([line.seq for line in page.lines], page.ended) == ([1, 2], True)


async def test_no_log(engine: Client) -> None:
    """A build that said nothing has an empty one."""
    page = await read_logs(engine, LogsRequest(BUILD))

    assert (page.lines, page.has_more, page.ended) == ((), False, False)


async def test_dead_letters(engine: Client, connect: Connections) -> None:
    """Subject, reason, detail and body are told as they were, page by page; a repetition is kept once."""
    fault = UndecodableMessage("bad_body", "x: this field is required")
    letters = [
        dead_message(a_stored(f"ws.event.x{number}.y", b'{"n":1}', sequence=number), fault) for number in range(3)
    ]
    await publish(connect, "engine", letters + letters)
    first = await read_dead(engine, DeadRequest(limit=2))
    second = await read_dead(engine, DeadRequest(after=first.messages[-1].seq))
    entry = first.messages[0]

    assert (len(first.messages), first.has_more) == (2, True)
    assert (len(second.messages), second.has_more) == (1, False)
    assert (
        entry.subject,
        entry.reason,
        entry.detail,
        entry.body,
    ) == ("ws.event.x0.y", "bad_body", "x: this field is required", '{"n":1}')


@pytest.mark.parametrize("body", [b"\x00" * 250_000, b"\xff" * 250_000, b'"' * 250_000])
async def test_large_garbage_does_not_block_the_page(engine: Client, connect: Connections, body: bytes) -> None:
    """Every dead letter can be passed, whatever is in it."""
    fault = UndecodableMessage("not_json")
    letters: list[Message] = [
        dead_message(a_stored("ws.event.x.y", body, sequence=number), fault) for number in range(3)
    ]
    await publish(connect, "engine", letters)
    seen: list[Any] = []
    more = True
    while more:
        page = await read_dead(engine, DeadRequest(after=seen[-1].seq if seen else 0))
        seen += page.messages
        more = page.has_more
        assert len(msgspec.json.encode(page)) < 1_000_000

    assert len(seen) == 3


async def test_no_stream(engine: Client, connect: Connections) -> None:
    """It is unavailable, not empty."""
    await jetstream.request(await connect("admin"), "STREAM.DELETE.DEAD")
    with pytest.raises(Unavailable, match=r"stream DEAD cannot be read: 503$"):
        await read_dead(engine, DeadRequest())
