"""What an engine makes good beside its work: streams that were made anew, links that went and nobody said so."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.app.recovery import Recovery
from workspaced.bus import jetstream
from workspaced.fsm.errors import Unavailable

FIRST_WAIT: Final = timedelta(milliseconds=200)
LONGEST_WAIT: Final = timedelta(seconds=5)
AGAIN: Final = timedelta(seconds=10)
"""Clients of a server that went may end on another one a little later, while no stream hears of it."""

_log = logging.getLogger(__name__)


class Settling:
    """Goes on in a task of its own, at most one; a new reason begins it anew."""

    def __init__(self, connection: Client, recovery: Recovery, ending: asyncio.Event) -> None:
        """When `ending` is set nothing is begun any more: the next engine does it on its start."""
        self._connection, self._recovery, self._ending = connection, recovery, ending
        self._task: asyncio.Task[None] | None = None

    async def make_good(self) -> None:
        """Once, now. Raises Unavailable, when the streams are not there with the line that says what to do."""
        await self._recovery.make_good(await jetstream.check(self._connection))

    async def made_good(self) -> bool:
        """The same as an attempt: whether the streams are there and everything was made good."""
        return await _done(self.make_good)

    def begin(self) -> None:
        """The server may be another one, and that which died announced nothing; tried until it worked.

        Its clients may never come back to tell of themselves.
        """
        self._begin(self._settle())

    def begin_late(self) -> None:
        """All is made good but the links, whose end may be told only by what is still to be decided; and once more."""
        self._begin(self._settle_late())

    def heard_of(self, server_id: str) -> None:
        """A server that was not there when links were settled may stand for one that died and announced nothing."""
        if (self._task is None or self._task.done()) and not self._recovery.knows(server_id):
            self.begin()

    def stop(self) -> list[asyncio.Task[None]]:
        """Go on no more; what is to be waited for."""
        if self._task is None:
            return []
        self._task.cancel()
        return [self._task]

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        """Anew, if it was going on: what was asked before may be no longer true."""
        if self._ending.is_set():
            work.close()
            return
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work)

    async def _settle(self) -> None:
        await _until_done(self.make_good)
        await self._settle_late()

    async def _settle_late(self) -> None:
        await _until_done(self._recovery.settle_late)
        await asyncio.sleep(AGAIN.total_seconds())
        await _until_done(self._recovery.settle_late)


async def _until_done(work: Callable[[], Awaitable[None]]) -> None:
    wait = FIRST_WAIT
    while not await _done(work):
        await asyncio.sleep(wait.total_seconds())
        wait = min(2 * wait, LONGEST_WAIT)


async def _done(work: Callable[[], Awaitable[None]]) -> bool:
    try:
        await work()
    except Unavailable as error:
        _log.warning("%s", error)
        return False
    return True
