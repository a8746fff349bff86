"""Knows whether the store is away, and waits for it without anybody else having to ask."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from workspaced.fsm.errors import Unavailable
from workspaced.store.port import Store

FIRST_WAIT: Final = timedelta(milliseconds=50)
LONGEST_WAIT: Final = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class StoreWatch:
    """While the store is away one task asks for it, ever more rarely; otherwise there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._here = asyncio.Event()
        self._here.set()
        self._probe: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """The last word of the store was that it cannot answer."""
        return not self._here.is_set()

    async def look(self) -> bool:
        """Ask the store now; whether it answers."""
        try:
            await self._store.ping()
        except Unavailable as error:
            self.lost(error)
        else:
            self._found()
        return not self.away

    def lost(self, error: Unavailable) -> None:
        """Somebody found the store away."""
        if self._here.is_set():
            _log.warning("the store is away: %s", error)
            self._here.clear()
            if self._probe is not None:
                self._probe.cancel()  # of an earlier absence whose end somebody else found
            self._probe = asyncio.create_task(self._wait_until_back())

    async def back(self) -> None:
        """Wait until the store answers."""
        await self._here.wait()

    async def close(self) -> None:
        """Ask no more."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    async def _wait_until_back(self) -> None:
        wait = FIRST_WAIT
        while self.away:
            await asyncio.sleep(wait.total_seconds())
            try:
                await self._store.ping()
            except Unavailable:
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self._found()
                return

    def _found(self) -> None:
        if self.away:
            _log.warning("the store is back")
            self._here.set()
