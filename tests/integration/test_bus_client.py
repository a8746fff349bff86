"""The chat daemon's client on a real server, against an engine that the tests play."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest

from tests.bus_messages import CHAT, ORGANIZATION, OWNER, WORKSPACE, a_row, a_snapshot, an_id
from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import streams, subjects
from workspaced.bus.announce import push_message
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import open_connection
from workspaced.bus.messages import ChatList, GetChat, ListRequest, Reply, TemplateReply
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.request import Patience
from workspaced.bus.service import Service
from workspaced.fsm.commands import Create
from workspaced.fsm.errors import Conflict, NotFound, Unavailable
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.fsm.template import Template

NET = 30
"""Seconds; a safety net."""


class Engine:
    """Knows chats by their latest snapshot, answers `get` and commands, pushes."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.chats: dict[str, Snapshot] = {}
        self.bodies: list[bytes] = []
        self.answers: list[object] = []
        """What the next commands are answered with; an exception is raised."""
        self.reads = 0
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Make streams and service."""
        await streams.ensure(await self._connections("admin"))
        connection = await self._connections("engine")
        self._publisher = Publisher(connection)
        await self._publisher.start()
        handlers = {"get": self._get} | dict.fromkeys(
            ("create", "stop", "list", "templates.put", "templates.get"), self._next_answer
        )
        self.service = Service(connection, handlers, "0.1.0")
        await self.service.start()
        await asyncio.sleep(0)
        await connection.flush()

    async def move(self, version: int, state: State, chat_id: str = CHAT, *, push: bool = True) -> None:
        """Commit a transition; with `push` False its push gets lost."""
        self.chats[chat_id] = a_snapshot(version, state, chat_id)
        if push:
            await self.push(version, state, chat_id)

    async def push(self, version: int, state: State, chat_id: str = CHAT) -> None:
        """Announce, whatever the chat is now."""
        await self._publisher.publish([push_message(a_row(version, state, chat_id))])

    async def garble(self) -> None:
        """Say what no client can read."""
        await self._publisher.publish([Message(subjects.chat(CHAT, "idle"), b"?")])

    async def _get(self, body: bytes) -> object:
        self.reads += 1
        found = self.chats.get(msgspec.json.decode(body, type=GetChat).chat_id)
        if self.before_answer is not None:
            await self.before_answer()
        if found is None:
            raise NotFound
        return found

    async def _next_answer(self, body: bytes) -> object:
        self.bodies.append(body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def engine(connect: Connections) -> AsyncIterator[Engine]:
    """A running one."""
    engine = Engine(connect)
    await engine.start()
    yield engine
    await engine.service.stop()


async def a_client(nats: NatsServer, role: str = "chatd", patience: Patience | None = None) -> WorkspacedClient:
    """A client of that role."""
    who = nats.roles[role]
    return await WorkspacedClient.connect(
        nats.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix, patience=patience
    )


@pytest.fixture
async def client(nats: NatsServer, engine: Engine) -> AsyncIterator[WorkspacedClient]:  # noqa: ARG001  # must run
    """A chat daemon's client."""
    async with await a_client(nats) as client:
        yield client


@pytest.fixture
async def as_admin(nats: NatsServer, engine: Engine) -> AsyncIterator[WorkspacedClient]:  # noqa: ARG001  # must run
    """An administrator's client."""
    async with await a_client(nats, "admin") as client:
        yield client


# --- requests ---------------------------------------------------------------------------------------------------------


async def create(client: WorkspacedClient, request_id: str | None = None) -> Reply:
    """A create with all it needs."""
    return await client.create(
        CHAT, owner=OWNER, organization_id=ORGANIZATION, template_id=an_id(8), request_id=request_id
    )


async def test_a_command(engine: Engine, client: WorkspacedClient) -> None:
    """The reply comes back typed; the body says what was asked."""
    engine.answers = [Reply("accepted", a_snapshot(1, State.CREATING), build_id=an_id(3))]
    reply = await create(client, "r1")
    sent = msgspec.json.decode(engine.bodies[0], type=Create)

    assert Reply("accepted", a_snapshot(1, State.CREATING), build_id=an_id(3)) == reply
    assert (CHAT, "r1", OWNER, an_id(8)) == (sent.chat_id, sent.request_id, sent.owner, sent.template_id)


async def test_each_command_has_its_own_request_id(engine: Engine, client: WorkspacedClient) -> None:
    """Unless the caller gives one."""
    engine.answers = [Reply("accepted", None), Reply("accepted", None)]
    await create(client)
    await create(client)
    first, second = (msgspec.json.decode(body, type=Create).request_id for body in engine.bodies)

    assert first != second


async def test_unavailable_is_asked_again(engine: Engine, client: WorkspacedClient) -> None:
    """With the very same body, so that the engine recognises it."""
    engine.answers = [Unavailable(), Unavailable(), Reply("exists", None)]
    reply = await create(client)

    assert reply.outcome == "exists"
    assert len(engine.bodies) == 3
    assert len(set(engine.bodies)) == 1


async def test_three_attempts(engine: Engine, client: WorkspacedClient) -> None:
    """Then the caller hears of it."""
    engine.answers = [Unavailable("store") for _ in range(4)]
    with pytest.raises(Unavailable, match="store"):
        await create(client)

    assert len(engine.bodies) == 3


async def test_refusals_are_not_asked_again(engine: Engine, client: WorkspacedClient) -> None:
    """They are raised as the engine raised them."""
    engine.answers = [Conflict("taken", code="name_taken", field="name")]
    with pytest.raises(Conflict) as caught:
        await create(client)

    assert (caught.value.code, caught.value.field, len(engine.bodies)) == ("name_taken", "name", 1)


async def test_without_an_engine(engine: Engine, nats: NatsServer) -> None:
    """It is said in words that help."""
    await engine.service.stop()
    async with await a_client(nats, patience=Patience(attempts=1)) as client:
        with pytest.raises(Unavailable, match="no workspaced engine is running"):
            await client.get(CHAT)


async def test_get(engine: Engine, client: WorkspacedClient) -> None:
    """The snapshot, or NotFound."""
    await engine.move(4, State.READY)

    assert await client.get(CHAT) == a_snapshot(4, State.READY)
    with pytest.raises(NotFound):
        await client.get(WORKSPACE)


async def test_list(engine: Engine, client: WorkspacedClient) -> None:
    """A page, typed."""
    engine.answers = [ChatList((a_snapshot(),), next=CHAT)]
    page = await client.list_chats(ListRequest(state=State.IDLE))

    assert ChatList((a_snapshot(),), next=CHAT) == page
    assert msgspec.json.decode(engine.bodies[0]) == {"state": "idle"}


async def test_templates(engine: Engine, as_admin: WorkspacedClient) -> None:
    """A mapping without an id is as good as a struct; the source comes back as it was."""
    template = Template(an_id(8), ORGANIZATION, "go", source=msgspec.Raw(b'{"a":1}'))
    engine.answers = [TemplateReply(template, ("nobody serves it",)), TemplateReply(template)]
    reply = await as_admin.put_template({"name": "go", "organization_id": ORGANIZATION})
    again = await as_admin.get_template(an_id(8))

    assert msgspec.json.decode(engine.bodies[0]) == {"template": {"name": "go", "organization_id": ORGANIZATION}}
    assert reply.warnings == ("nobody serves it",)
    assert bytes(again.source) == b'{"a":1}'


async def test_a_wrong_password(nats: NatsServer) -> None:
    """One line, without the password."""
    with pytest.raises(Unavailable, match=r"refuses user 'chatd'; check name and password$"):
        await open_connection(nats.url, user="chatd", password="hunter2", limit=timedelta(seconds=1))  # noqa: S106


async def test_nobody_there() -> None:
    """The first connect gives up after its limit."""
    with pytest.raises(Unavailable, match=r"^NATS at 127.0.0.1:1 does not answer: "):
        await open_connection("nats://u:hunter2@127.0.0.1:1", limit=timedelta(seconds=0.2))


# --- watching ---------------------------------------------------------------------------------------------------------


async def versions(snapshots: AsyncIterator[Snapshot], last: int) -> list[int]:
    """What is seen up to that version."""
    seen: list[int] = []
    async with asyncio.timeout(NET):
        while not seen or seen[-1] < last:
            seen.append((await anext(snapshots)).version)
    return seen


async def test_watch(engine: Engine, client: WorkspacedClient) -> None:
    """What is, then what comes."""
    await engine.move(2, State.CREATING)
    async with client.watch(CHAT) as snapshots:
        await engine.move(3, State.BUILDING)
        await engine.move(4, State.BINDING)

        assert await versions(snapshots, 4) == [2, 3, 4]


async def test_watch_a_chat_without_a_row(engine: Engine, client: WorkspacedClient) -> None:
    """It begins with the first version."""
    async with client.watch(CHAT) as snapshots:
        await engine.move(1, State.CREATING)

        assert await versions(snapshots, 1) == [1]


async def test_nothing_falls_between_subscribing_and_reading(engine: Engine, client: WorkspacedClient) -> None:
    """A push that comes while `get` is answered with an older snapshot is kept, and none is seen twice."""
    await engine.move(1, State.CREATING)

    async def meanwhile() -> None:
        engine.before_answer = None
        await engine.move(2, State.BUILDING)
        await engine.move(3, State.BINDING)

    engine.before_answer = meanwhile
    async with client.watch(CHAT) as snapshots:
        await engine.move(4, State.CONNECTING)

        seen = await versions(snapshots, 4)

    assert seen == sorted(set(seen))
    assert {2, 3, 4} <= set(seen)


async def test_an_old_push_before_the_first_read(engine: Engine, client: WorkspacedClient) -> None:
    """A push that is said once more while a watch begins is not taken for the chat's current state."""
    await engine.move(3, State.READY, push=False)

    async def meanwhile() -> None:
        await engine.push(2, State.CONNECTING)
        await engine.push(4, State.FAILED)

    engine.before_answer = meanwhile
    async with client.watch(CHAT) as snapshots:
        seen = await versions(snapshots, 4)

    assert seen == [3, 4]


async def test_old_and_doubled_pushes_are_dropped(engine: Engine, client: WorkspacedClient) -> None:
    """What an engine says again after a crash does not move a chat back."""
    await engine.move(5, State.STARTING)
    async with client.watch(CHAT) as snapshots:
        for version in (3, 5, 6, 4, 6):
            await engine.push(version, State.STARTING)
        await engine.garble()
        await engine.move(7, State.READY)

        assert await versions(snapshots, 7) == [5, 6, 7]


async def test_many_watchers_share_one_subscription(engine: Engine, client: WorkspacedClient) -> None:
    """One read, one subscription, no task for any of them; each sees everything."""
    await engine.move(1, State.CREATING)
    await client.get(CHAT)  # the first request makes the client's inbox
    tasks = len(asyncio.all_tasks())
    watches = [client.watch(CHAT) for _ in range(50)]
    await asyncio.gather(*(watch.__aenter__() for watch in watches))

    assert engine.reads == 2
    assert len(asyncio.all_tasks()) - tasks <= 1  # the subscription's own

    await engine.move(2, State.BUILDING)

    assert [await versions(watch, 2) for watch in watches] == [[1, 2]] * 50

    for watch in watches:
        await watch.__aexit__(None, None, None)

    assert client._feeds._feeds == {}  # noqa: SLF001  # nothing is left


async def test_a_later_watcher_gets_what_is(engine: Engine, client: WorkspacedClient) -> None:
    """Without reading again."""
    await engine.move(1, State.CREATING)
    async with client.watch(CHAT) as first:
        await engine.move(2, State.BUILDING)
        await versions(first, 2)
        async with client.watch(CHAT) as second:
            assert await versions(second, 2) == [2]

    assert engine.reads == 1


async def test_watch_without_reading(engine: Engine, client: WorkspacedClient) -> None:
    """Whoever needs only what comes asks nothing; whoever joins and needs the current one reads it."""
    await engine.move(1, State.CREATING)
    async with client.watch(CHAT, current=False) as coming:
        reads = engine.reads
        async with client.watch(CHAT) as first, client.watch(CHAT) as second:
            await engine.move(2, State.BUILDING)

            assert [await versions(watch, 2) for watch in (first, second)] == [[1, 2]] * 2
            assert (await versions(coming, 2))[-1] == 2

    assert (reads, engine.reads) == (0, 1)


async def test_a_failed_beginning_leaves_nothing(engine: Engine, nats: NatsServer) -> None:
    """Who cannot read is told, and may try again."""
    await engine.service.stop()
    async with await a_client(nats, patience=Patience(attempts=1)) as client:
        with pytest.raises(Unavailable):
            async with client.watch(CHAT):
                pass

        assert client._feeds._feeds == {}  # noqa: SLF001  # nothing is left


async def test_a_reconnect_reads_again(engine: Engine, client: WorkspacedClient, nats: NatsServer) -> None:
    """What was pushed while the server was away is not lost, and watching goes on."""
    await engine.move(1, State.CREATING)
    async with client.watch(CHAT) as snapshots:
        await versions(snapshots, 1)
        await engine.move(2, State.BUILDING, push=False)
        await nats.kill()
        await nats.start()

        assert await versions(snapshots, 2) == [2]

        await engine.move(3, State.BINDING)

        assert await versions(snapshots, 3) == [3]


async def test_a_closed_client_ends_its_watches(engine: Engine, client: WorkspacedClient) -> None:
    """Nobody waits for ever."""
    await engine.move(1, State.CREATING)
    async with client.watch(CHAT) as snapshots:
        await versions(snapshots, 1)
        waiting = asyncio.create_task(versions(snapshots, 2))
        await client.close()
        with pytest.raises(Unavailable):
            await waiting


async def test_wait_until(engine: Engine, client: WorkspacedClient) -> None:
    """By states or by a question; the current snapshot counts."""
    await engine.move(1, State.CREATING)
    waiting = asyncio.create_task(client.wait_until(CHAT, {State.READY, State.FAILED}, timedelta(seconds=NET)))
    now = await client.wait_until(CHAT, lambda snapshot: snapshot.version == 1)
    await engine.move(2, State.BUILDING)
    await engine.move(3, State.READY)

    assert now == a_snapshot(1, State.CREATING)
    assert await waiting == a_snapshot(3, State.READY)


async def test_wait_until_its_limit(engine: Engine, client: WorkspacedClient) -> None:
    """Then it is a TimeoutError."""
    await engine.move(1, State.CREATING)
    with pytest.raises(TimeoutError):
        await client.wait_until(CHAT, {State.READY}, timedelta(seconds=0.05))


async def test_watch_all(engine: Engine, client: WorkspacedClient) -> None:
    """The pushes of all chats."""
    async with client.watch_all() as pushes:
        await engine.move(1, State.CREATING)
        await engine.garble()
        await engine.move(1, State.CREATING, WORKSPACE)
        async with asyncio.timeout(NET):
            seen = [(await anext(pushes)).chat_id for _ in range(2)]

    assert seen == [CHAT, WORKSPACE]
