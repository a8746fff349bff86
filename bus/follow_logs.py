"""Following a build's log: every line once, in order, from the first to the end, across reconnects. Nothing polls.

Subscribe, then read what is kept by page, then drop what was seen. What comes out of turn (lines were missed, or a
provisioner that took over counts from 1 again) has the pages read once more.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from workspaced.bus import subjects
from workspaced.bus.connection import flush
from workspaced.bus.headers import one_line
from workspaced.bus.logs import SentLine, sent_line
from workspaced.bus.messages import LogEntry, Logs
from workspaced.bus.request import refusal_of
from workspaced.fsm.errors import Forbidden, Unavailable

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

_log = logging.getLogger(__name__)

BACKLOG: Final = 10_000
"""Lines kept for a reader that does not read; beyond it they are read by page later."""
PAGE: Final = 1000
NOT_FOLLOWED: Final = "this user may not follow a log; read it by page: `logs`, on the command line without --follow"


class ReadPage(Protocol):
    """`WorkspacedClient.logs`."""

    def __call__(self, build_id: str, *, after: int = 0, limit: int = 400) -> Awaitable[Logs]:
        """A page of a build's log."""


class LogFollow:
    """Iterates over a build's lines for one reader, until the log ends; leave its context to end it before."""

    def __init__(self, follows: "LogFollows", build_id: str) -> None:
        self._follows, self.build_id = follows, build_id
        self._subscription: Subscription | None = None
        self._news = asyncio.Event()
        self._live: deque[SentLine] = deque()
        self._ready: deque[LogEntry] = deque()
        self._paged: Counter[int] = Counter()
        """Lines that came by page and may come, or may have come, live as well."""
        self._behind = True
        """There may be kept lines that are not read."""
        self._checked: SentLine | None = None
        """Came out of turn, and the pages have been read since."""
        self._last = 0
        self._last_sent = 0
        self._finishing = self._ended = False
        self._fault: Exception | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._follows.join(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._follows.leave(self)
        if self._subscription is not None:
            await _end(self._subscription)

    def __aiter__(self) -> AsyncIterator[LogEntry]:
        return self

    async def __anext__(self) -> LogEntry:
        """The next line; waits for it. Raises Unavailable when the engine cannot be asked; go on or not."""
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            if self._fault:
                raise self._fault
            if self._behind:
                await self._read_page()
            elif self._live:
                self._take(self._live.popleft())
            elif self._finishing:
                self._ended = True
            else:
                self._news.clear()
                await self._news.wait()
        return self._ready.popleft()

    def finish(self) -> None:
        """The build is over: what is kept by now is all there will be, with or without an end."""
        self._finishing = self._behind = True
        self._news.set()

    async def on_message(self, message: Msg) -> None:
        """A line as it is sent."""
        if self._ended:
            return
        line = sent_line(message.data)
        if line is None:
            _log.warning("a line on %s cannot be read and is dropped", one_line(message.subject))
            return
        if len(self._live) < BACKLOG:
            self._live.append(line)
        else:
            self._live.clear()
            self._behind = True
        self._news.set()

    def look_again(self) -> None:
        """Lines may have been missed."""
        self._behind = True
        self._news.set()

    def fail(self, fault: Exception) -> None:
        """Nothing will come any more."""
        self._fault = fault
        self._news.set()

    async def _read_page(self) -> None:
        self._behind = False
        try:
            page = await self._follows.read(self.build_id, after=self._last, limit=PAGE)
        except BaseException:
            self._behind = True
            raise
        for line in page.lines:
            self._paged[_key(line)] += 1
            self._last = self._last_sent = line.seq
            self._ready.append(line)
        self._behind = self._behind or page.has_more
        self._ended = page.ended

    def _take(self, line: SentLine) -> None:
        """A line that came live: seen by page already, or out of turn, or the next one."""
        entry = line.numbered(max(line.seq, self._last + 1))
        if entry is not None and self._paged[_key(entry)]:
            self._paged[_key(entry)] -= 1
            return
        if line.seq != self._last_sent + 1 and line is not self._checked:
            self._live.appendleft(line)
            self._checked, self._behind = line, True
            return
        if entry is None:
            self._ended = True
            return
        self._last, self._last_sent = entry.seq, line.seq
        self._ready.append(entry)


class LogFollows:
    """The logs that are followed over one connection."""

    def __init__(self, connection: Client, read: ReadPage, tenant: str | None = None) -> None:
        """`tenant` is the organization that the user is limited to."""
        self._connection = connection
        self.read = read
        self._tenant = tenant
        self._follows: set[LogFollow] = set()

    async def join(self, follow: LogFollow) -> "Subscription":
        """Have `follow` told what is sent from now on. Raises Unavailable, and Forbidden when this user may not."""
        subject = subjects.logs_of(follow.build_id, self._tenant)
        try:
            subscription = await self._subscribe(subject, follow)
        except Forbidden:
            raise Forbidden(NOT_FOLLOWED, code="forbidden") from None
        except (NatsError, OSError) as error:
            raise Unavailable(f"NATS does not answer ({type(error).__name__})") from None
        self._follows.add(follow)
        return subscription

    async def _subscribe(self, subject: str, follow: LogFollow) -> "Subscription":
        async with AsyncExitStack() as undo:
            async with refusal_of(self._connection, subject):
                subscription = await self._connection.subscribe(subject, cb=follow.on_message)
                undo.push_async_callback(_end, subscription)  # else every reconnection asks for it again
                await flush(self._connection)
            undo.pop_all()
        return subscription

    def leave(self, follow: LogFollow) -> None:
        """Tell it nothing more."""
        self._follows.discard(follow)

    def reconnected(self) -> None:
        """Lines may have been missed meanwhile."""
        for follow in self._follows:
            follow.look_again()

    def close(self) -> None:
        """The connection is closed for good."""
        for follow in self._follows:
            follow.fail(Unavailable("the connection to NATS is closed"))


async def _end(subscription: "Subscription") -> None:
    with suppress(NatsError):  # closed or about to be: then it is gone anyhow
        await subscription.unsubscribe()


def _key(line: LogEntry) -> int:
    """The same for one line however it came; its number may differ."""
    return hash((line.at, line.stage, line.level, line.output))
