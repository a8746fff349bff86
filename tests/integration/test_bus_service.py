"""The request API on a real server: concurrent, found by any client, silent about its inside; and commands' answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from tests.bus_messages import CHAT, a_create, a_snapshot
from tests.servers import Connections
from workspaced.bus import jetstream, subjects, tokens
from workspaced.bus.ask import Asker, refusal_message, reply_message
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.connection import flush
from workspaced.bus.faults import error_in
from workspaced.bus.messages import Reply
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.service import Handler, Service
from workspaced.fsm.errors import BadRequest, Conflict, NotFound, Unavailable

Serve = Callable[[Mapping[str, Handler]], Awaitable[Service]]
Observed = list[tuple[str, int]]


@pytest.fixture
def observed() -> Observed:
    """Verb and status of each request served."""
    return []


@pytest.fixture
async def serve(connect: Connections, observed: Observed) -> AsyncIterator[Serve]:
    """Starts a service as an engine would."""
    services = []

    async def serve(handlers: Mapping[str, Handler]) -> Service:
        engine = await connect("engine")
        service = Service(engine, handlers, "0.1.0", observe=lambda verb, status, _: observed.append((verb, status)))
        await service.start()
        services.append(service)
        return service

    yield serve
    for service in services:
        await service.stop()


async def ask(client: Client, verb: str, body: bytes = b"{}") -> Msg:
    """The answer, with a time limit that is a safety net only."""
    return await client.request(subjects.api(verb), body, timeout=30)


async def test_answers(connect: Connections, serve: Serve, observed: Observed) -> None:
    """A struct is answered as JSON, bytes as they are."""

    async def get(_: bytes) -> object:
        return a_snapshot()

    async def echo(body: bytes) -> object:
        return body

    await serve({"get": get, "templates.put": echo})
    chatd, admin = await connect("chatd"), await connect("admin")

    assert (await ask(chatd, "get")).data == msgspec.json.encode(a_snapshot())
    assert (await ask(admin, "templates.put", b"[1]")).data == b"[1]"
    assert observed == [("get", 200), ("templates.put", 200)]


async def test_errors(connect: Connections, serve: Serve) -> None:
    """Ours come with headers and body as wire.md says."""

    async def get(_: bytes) -> object:
        raise NotFound(field="chat_id")

    await serve({"get": get})
    answer = await ask(await connect("chatd"), "get")

    assert answer.headers is not None
    assert answer.headers["Nats-Service-Error-Code"] == "404"
    assert answer.headers["Nats-Service-Error"] == "there is no such chat; create_workspace or attach makes one"
    assert json.loads(answer.data) == {
        "code": "chat_not_found",
        "error": "there is no such chat; create_workspace or attach makes one",
        "field": "chat_id",
    }


async def test_internals_are_hidden(
    connect: Connections, serve: Serve, caplog: pytest.LogCaptureFixture, observed: Observed
) -> None:
    """The caller gets a bare 500, the log has the cause, the statistics have nothing."""

    async def get(_: bytes) -> object:
        raise RuntimeError("password=hunter2")

    await serve({"get": get})
    answer = await ask(await connect("chatd"), "get")
    inspector = await connect("inspector")
    statistics = await inspector.request("$SRV.STATS.workspaced", timeout=30)

    assert answer.headers is not None
    assert answer.headers["Nats-Service-Error-Code"] == "500"
    assert json.loads(answer.data)["code"] == "internal"
    assert b"hunter2" not in answer.data + str(answer.headers).encode() + statistics.data
    assert "hunter2" in caplog.text
    assert observed == [("get", 500)]


async def test_slow_handlers_run_at_once(connect: Connections, serve: Serve) -> None:
    """Forty requests are all inside before the first one ends."""
    inside, all_inside = 0, asyncio.Event()

    async def get(_: bytes) -> object:
        nonlocal inside
        inside += 1
        if inside == 40:
            all_inside.set()
        await all_inside.wait()
        return b"{}"

    await serve({"get": get})
    chatd = await connect("chatd")
    answers = await asyncio.gather(*(ask(chatd, "get") for _ in range(40)))

    assert [answer.data for answer in answers] == [b"{}"] * 40


async def test_stop_finishes_what_was_taken(connect: Connections, serve: Serve) -> None:
    """A request that is being served is answered; later ones find nobody."""
    inside, leave = asyncio.Event(), asyncio.Event()

    async def get(_: bytes) -> object:
        inside.set()
        await leave.wait()
        return b"1"

    service = await serve({"get": get})
    chatd = await connect("chatd")
    asking = asyncio.create_task(ask(chatd, "get"))
    await inside.wait()
    stopping = asyncio.create_task(service.stop())
    leave.set()
    await stopping

    assert (await asking).data == b"1"
    with pytest.raises(NoRespondersError):
        await ask(chatd, "get")


async def test_an_unknown_verb_finds_nobody(connect: Connections, serve: Serve) -> None:
    """The answer comes at once."""
    await serve({})
    with pytest.raises(NoRespondersError):
        await (await connect("admin")).request("ws.api.explode", b"{}", timeout=30)


async def test_an_answer_that_is_too_large(connect: Connections, serve: Serve) -> None:
    """The caller is told to ask for less."""

    async def history(_: bytes) -> object:
        return b"x" * 2_000_000

    await serve({"history": history})
    error = error_in(await ask(await connect("chatd"), "history"))

    assert error is not None
    assert (error.status, error.code) == (400, "too_large")


async def test_the_service_is_found(connect: Connections, serve: Serve) -> None:
    """Any client sees name, version, queue group and endpoints."""

    async def handler(_: bytes) -> object:
        return b""

    await serve(dict.fromkeys(tokens.API_VERBS, handler))
    information = json.loads((await (await connect("inspector")).request("$SRV.INFO.workspaced", timeout=30)).data)
    endpoints = {endpoint["name"]: endpoint for endpoint in information["endpoints"]}

    assert (information["name"], information["version"]) == ("workspaced", "0.1.0")
    assert endpoints["templates-put"]["subject"] == "ws.api.templates.put"
    assert {endpoint["queue_group"] for endpoint in endpoints.values()} == {"workspaced"}
    assert {"create", "unreachable", "settings-get", "dead"} <= set(endpoints)


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def asker(connect: Connections) -> Asker:
    """The API's side of commands, on an engine's connection; the streams are there."""
    await jetstream.ensure(await connect("admin"))
    engine = await connect("engine")
    publisher = Publisher(engine)
    await publisher.start()
    asker = Asker(engine, publisher)
    await asker.start()
    return asker


async def decide(connect: Connections, answer: Callable[[str], Message]) -> Client:
    """Another engine, which answers each command as soon as it is stored."""
    admin, engine = await connect("admin"), await connect("engine")
    publisher = Publisher(engine)
    await publisher.start()

    async def on_command(message: Msg) -> None:
        assert message.headers is not None
        await publisher.publish([answer(message.headers["Ws-Reply"])])

    await admin.subscribe("ws.cmd.>", cb=on_command)
    await flush(admin)
    return admin


async def test_a_command_is_answered(asker: Asker, connect: Connections) -> None:
    """By whichever engine decided it, with its own words."""
    reply = Reply("accepted", a_snapshot(), build_id=CHAT)
    await decide(connect, lambda inbox: reply_message(inbox, reply))

    assert msgspec.json.decode(await asker.ask("create", msgspec.json.encode(a_create())), type=Reply) == reply


async def test_a_command_is_refused(asker: Asker, connect: Connections) -> None:
    """The engine's error is raised here as it was there."""
    await decide(connect, lambda inbox: refusal_message(inbox, 409, Conflict().body()))
    with pytest.raises(Conflict) as caught:
        await asker.ask("create", msgspec.json.encode(a_create()))

    assert caught.value.code == "request_id_reused"


async def test_a_command_is_queued(asker: Asker, connect: Connections) -> None:
    """Nobody decides: the command is on the stream, as it came, and the caller knows."""
    body = msgspec.json.encode(a_create(colour="red"))
    answer = await asker.ask("create", body)
    info = await jetstream.request(await connect("admin"), "STREAM.INFO.EVENTS", {"subjects_filter": "ws.cmd.>"})

    assert json.loads(answer) == {"outcome": "queued", "snapshot": None}
    assert info["state"]["subjects"] == {f"ws.cmd.{CHAT}.create": 1}
    assert asker._waiting == {}  # noqa: SLF001  # nothing may be left of it


async def test_many_commands_wait_at_once(asker: Asker, connect: Connections) -> None:
    """Each gets its own answer."""
    await decide(connect, lambda inbox: reply_message(inbox, Reply("accepted", None, build_id=inbox)))
    body = msgspec.json.encode(a_create())
    answers = await asyncio.gather(*(asker.ask("create", body) for _ in range(100)))

    assert len({json.loads(answer)["build_id"] for answer in answers}) == 100


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "bad_request"),
        (b"{}", "bad_request"),
        (msgspec.json.encode(a_create(name="x" * MAX_BODY)), "too_large"),
        (msgspec.json.encode(a_create()).ljust(MAX_BODY), "too_large"),  # only with its headers
    ],
)
async def test_a_bad_command_is_not_published(asker: Asker, connect: Connections, body: bytes, code: str) -> None:
    """It is refused before it reaches the stream, or by the stream."""
    with pytest.raises(BadRequest) as caught:
        await asker.ask("create", body)
    info = await jetstream.request(await connect("admin"), "STREAM.INFO.EVENTS", {"subjects_filter": "ws.cmd.>"})

    assert code == caught.value.code
    assert not info["state"].get("subjects")


async def test_without_the_stream(asker: Asker, connect: Connections) -> None:
    """503: nothing is half done."""
    await jetstream.request(await connect("admin"), "STREAM.DELETE.EVENTS")
    with pytest.raises(Unavailable):
        await asker.ask("create", msgspec.json.encode(a_create()))
