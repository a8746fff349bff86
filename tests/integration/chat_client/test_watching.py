"""The chat daemon's client on a real server: what it watches comes whole, once and in order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from nats.aio.client import Client
from nats.errors import FlushTimeoutError

from tests.bus_messages import CHAT, WORKSPACE, a_snapshot
from tests.chat_engine import Engine, a_client
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import chat_client
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.request import Patience
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

NET = 30
"""Seconds; a safety net."""


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


async def test_watch_all_in_vain(client: WorkspacedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who could not begin to watch leaves nothing that every reconnection would ask for again."""

    async def away(_: Client) -> None:
        raise FlushTimeoutError

    before = set(client.connection._subs)  # noqa: SLF001  # nats-py's: what a reconnection asks for
    monkeypatch.setattr(chat_client, "flush", away)
    with pytest.raises(FlushTimeoutError):
        async with client.watch_all():
            pass

    assert set(client.connection._subs) == before  # noqa: SLF001  # as above


async def test_watch_all(engine: Engine, client: WorkspacedClient) -> None:
    """The pushes of all chats."""
    async with client.watch_all() as pushes:
        await engine.move(1, State.CREATING)
        await engine.garble()
        await engine.move(1, State.CREATING, WORKSPACE)
        async with asyncio.timeout(NET):
            seen = [(await anext(pushes)).chat_id for _ in range(2)]

    assert seen == [CHAT, WORKSPACE]
