"""Watching chats: each version once, in order, none older than one seen before, across reconnects.

All watchers of a chat share one subscription (and with it the one reading task of nats-py); a watcher that waits is an
entry in a list: no task, no timer, no request. The order of things is subscribe, then read, then drop what is not
newer, so nothing falls between.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from workspaced.bus import subjects
from workspaced.bus.codec import decode
from workspaced.bus.connection import flush
from workspaced.bus.headers import one_line
from workspaced.bus.messages import Push
from workspaced.bus.moments import Moments
from workspaced.fsm.errors import BadRequest, NotFound, Unavailable, WorkspacedError
from workspaced.fsm.snapshot import Snapshot

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

BACKLOG: Final = 1000
"""Snapshots kept for a watcher that does not read; beyond it the oldest are dropped."""
_READS_AT_ONCE: Final = 16
_PAUSE: Final = 1.0
"""Seconds between attempts to read again after a reconnect."""

Read = Callable[[str], Awaitable[Snapshot]]

_log = logging.getLogger(__name__)


def pushed(message: Msg) -> Push | None:
    """The push; None, after a line in the log, for what is none.

    It may be of a newer engine, or of somebody who may publish there and should not.
    """
    fault = "it is about something else"
    try:
        push = decode(message.data, Push)
        where = subjects.chat(push.snapshot.chat_id, push.to_state)
    except (ValueError, BadRequest) as error:
        fault = str(error)
    else:
        same = push.chat_id == push.snapshot.chat_id
        if same and message.subject.endswith(where.removeprefix("ws")):  # its organization may stand in front
            return push
    _log.warning("a push on %s cannot be read and is dropped: %s", one_line(message.subject), fault)
    return None


class Follower(Protocol):
    """Whoever is told a chat's snapshots; called from the loop, must be quick and must not raise."""

    def offer(self, snapshot: Snapshot, /) -> None:
        """A snapshot, usually newer than the one before."""

    def end(self, fault: Exception, /) -> None:
        """Nothing will come any more."""


class Watch:
    """Iterates over a chat's snapshots, the current one first, for one reader; leave its context to end it.

    With `current` false the current one is not asked for: it comes only if it is known anyhow.
    """

    def __init__(self, feeds: "Feeds", chat_id: str, *, current: bool = True) -> None:
        self._feeds = feeds
        self._chat_id = chat_id
        self._current = current
        self._backlog: deque[Snapshot] = deque(maxlen=BACKLOG)
        self._news = asyncio.Event()
        self._fault: Exception | None = None
        self._version = 0

    async def __aenter__(self) -> Self:
        await self._feeds.join(self._chat_id, self, current=self._current)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._feeds.leave(self._chat_id, self)

    def __aiter__(self) -> AsyncIterator[Snapshot]:
        return self

    async def __anext__(self) -> Snapshot:
        """The next newer snapshot; waits for it. Raises Unavailable when the connection is closed for good."""
        while not self._backlog:
            if self._fault:
                raise self._fault
            self._news.clear()
            await self._news.wait()
        return self._backlog.popleft()

    def waiting(self) -> list[Snapshot]:
        """What has come and was not read yet, oldest first; does not wait."""
        waiting = list(self._backlog)
        self._backlog.clear()
        return waiting

    def offer(self, snapshot: Snapshot) -> None:
        """Keep `snapshot` for the reader if it is newer than the last one."""
        if snapshot.version > self._version:
            self._version = snapshot.version
            self._backlog.append(snapshot)
            self._news.set()

    def end(self, fault: Exception) -> None:
        """Nothing will come any more."""
        self._fault = fault
        self._news.set()


class _Feed:
    """What all watchers of one chat share."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self.watches: list[Follower] = []
        self.latest: Snapshot | None = None
        self.read = False
        """The engine was asked for the current one, so that `latest` is it, or there is none."""
        self.held: list[Snapshot] | None = None
        """What is pushed before the first read, and may be old; told after it, if it is newer."""
        self.opening = asyncio.Lock()
        self.subscription: Subscription | None = None

    async def on_message(self, message: Msg) -> None:
        push = pushed(message)
        if push is not None:
            await self._moments.reach("pushed")
            self.take(push.snapshot)

    def take(self, snapshot: Snapshot) -> None:
        """Pass `snapshot` on, unless it is not newer than what was passed on before."""
        if self.held is not None:
            self.held.append(snapshot)
            return
        if self.latest is not None and snapshot.version <= self.latest.version:
            return
        self.latest = snapshot
        for watch in self.watches:
            watch.offer(snapshot)

    def release(self, read: Snapshot | None = None) -> None:
        """Pass on the chat as it was read, then what was held."""
        held, self.held = self.held or [], None
        for snapshot in [read, *held] if read else held:
            self.take(snapshot)


class Feeds:
    """The chats that are watched over one connection."""

    def __init__(self, connection: Client, read: Read, moments: Moments, tenant: str | None = None) -> None:
        """`read` gives a chat's current snapshot and raises NotFound for a chat without a row.

        With `tenant` pushes come on the subjects of that organization.
        """
        self._connection = connection
        self._read = read
        self._moments = moments
        self._tenant = tenant
        self._feeds: dict[str, _Feed] = {}
        self._catching_up: asyncio.Task[None] | None = None

    async def join(self, chat_id: str, watch: Follower, *, current: bool = True) -> bool:
        """Have `watch` offered the chat's current snapshot, if it has one, and every newer one.

        With `current` false only the newer ones are certain to come. Returns whether the engine was asked.
        """
        feed = self._feeds.setdefault(chat_id, _Feed(self._moments))
        feed.watches.append(watch)
        try:
            async with feed.opening:  # the first one opens, the others wait for it
                asked = current and not feed.read
                if asked:
                    feed.held = []
                try:
                    if feed.subscription is None:
                        await self._open(chat_id, feed)
                    if asked:
                        await self._read_first(chat_id, feed)  # offers what it reads to all that wait
                finally:
                    feed.release()
                if feed.latest is not None:
                    watch.offer(feed.latest)
                return asked
        except BaseException:
            await self.leave(chat_id, watch)
            raise

    async def leave(self, chat_id: str, watch: Follower) -> None:
        """Offer nothing more; the last watcher takes the subscription along."""
        feed = self._feeds.get(chat_id)
        if feed is None or watch not in feed.watches:
            return
        feed.watches.remove(watch)
        if not feed.watches:
            del self._feeds[chat_id]
            if feed.subscription is not None:
                with suppress(NatsError):  # closed or about to be: then it is gone anyhow
                    await feed.subscription.unsubscribe()

    def reconnected(self) -> None:
        """Pushes may have been missed: read every watched chat again, in the background, until it worked."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._catching_up = asyncio.create_task(self._catch_up(set(self._feeds)))

    def close(self) -> None:
        """The connection is closed for good: whoever watches is told."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        fault = Unavailable("the connection to NATS is closed")
        for feed in self._feeds.values():
            for watch in feed.watches:
                watch.end(fault)

    async def _open(self, chat_id: str, feed: _Feed) -> None:
        subscription = await self._connection.subscribe(subjects.chat_all(chat_id, self._tenant), cb=feed.on_message)
        try:
            await self._reach_server()
        except BaseException:
            await subscription.unsubscribe()
            raise
        feed.subscription = subscription
        await self._moments.reach("subscribed")

    async def _read_first(self, chat_id: str, feed: _Feed) -> None:
        read = None
        with suppress(NotFound):  # its first version will be pushed
            read = await self._read(chat_id)
        feed.release(read)
        feed.read = True

    async def _reach_server(self) -> None:
        try:
            await flush(self._connection)
        except (NatsError, OSError) as error:
            raise Unavailable(f"NATS does not answer ({type(error).__name__})") from None

    async def _catch_up(self, chats: set[str]) -> None:
        room = asyncio.Semaphore(_READS_AT_ONCE)

        async def read(chat_id: str) -> None:
            async with room:
                feed = self._feeds.get(chat_id)
                try:
                    if feed is not None:
                        feed.take(await self._read(chat_id))
                except NotFound:
                    pass
                except WorkspacedError:
                    return
                chats.discard(chat_id)

        while chats:
            await asyncio.gather(*(read(chat_id) for chat_id in list(chats)))
            if chats:
                await asyncio.sleep(_PAUSE)
