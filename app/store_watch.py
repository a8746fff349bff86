"""Knows whether the store is away and why, and waits for it without anybody else having to ask."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from workspaced.fsm.errors import Unavailable
from workspaced.store.errors import CAUSES, Cause, StoreAway
from workspaced.store.port import Store

FIRST_WAIT: Final = timedelta(milliseconds=50)
LONGEST_WAIT: Final = timedelta(seconds=5)
PATIENCE: Final = timedelta(seconds=3)
"""How long one look may take: a store that is slower is of no use."""
LASTING: Final[frozenset[Cause]] = frozenset({"read_only", "slow"})
"""What a connection keeps for its life: a session that may not write, a link that is dead and does not say so."""

_log = logging.getLogger(__name__)


class StoreWatch:
    """While the store is away one task asks for it, ever more rarely; otherwise there is none.

    A store may answer and yet be of no use: full, or without a table. Then it counts as away until work went through.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._here = asyncio.Event()
        self._here.set()
        self._failed_work = False
        self._probe: asyncio.Task[None] | None = None
        self._cause: Cause = "unreachable"

    @property
    def away(self) -> bool:
        """The last word of the store was that it cannot answer, or that it does not do what is asked."""
        return self._failed_work or not self._here.is_set()

    @property
    def cause(self) -> Cause | None:
        """Why it is away, when it is."""
        return self._cause if self.away else None

    async def look(self) -> bool:
        """Ask the store now; whether it is of use. Takes `PATIENCE` at most."""
        try:
            await self._ask()
        except Unavailable as error:
            self._lost(error)
        else:
            self._found()
        return not self.away

    def failed(self, error: Unavailable) -> None:
        """Work found the store away, and will try again until it `worked`."""
        self._lost(error)
        self._failed_work = True

    def worked(self) -> None:
        """Work went through."""
        if self._failed_work:
            self._failed_work = False
            self._here.set()
            _log.warning("the store does its work again")

    async def back(self) -> None:
        """Wait until the store answers."""
        await self._here.wait()

    async def close(self) -> None:
        """Ask no more."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    def _lost(self, error: Unavailable) -> None:
        cause = error.cause if isinstance(error, StoreAway) else "unreachable"
        if not self.away or cause != self._cause:
            _log.warning("the store is away: %s (%s)", CAUSES[cause], error.__cause__ or "no more is known")
        self._cause = cause
        if self._here.is_set():
            self._here.clear()
            if self._probe is not None:
                self._probe.cancel()  # of an earlier absence whose end somebody else found
            self._probe = asyncio.create_task(self._wait_until_back())

    async def _wait_until_back(self) -> None:
        wait = FIRST_WAIT
        while not self._here.is_set():
            if self._cause in LASTING:
                await self._store.renew()
            await asyncio.sleep(wait.total_seconds())
            try:
                await self._ask()
            except Unavailable as error:
                self._lost(error)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self._found()
                return

    async def _ask(self) -> None:
        """One ping, in a task of its own: over a dead link even its cancelation takes its time."""
        asking = asyncio.create_task(self._store.ping())
        asking.add_done_callback(_look_at_the_end)
        try:
            done, _ = await asyncio.wait({asking}, timeout=PATIENCE.total_seconds())
        except asyncio.CancelledError:
            asking.cancel()
            raise
        if not done:
            asking.cancel()
            raise StoreAway("slow")
        asking.result()

    def _found(self) -> None:
        if not self._here.is_set():
            self._here.set()
            if not self._failed_work:
                _log.warning("the store answers again")


def _look_at_the_end(task: asyncio.Task[None]) -> None:
    """Else asyncio complains of an error that nobody asked for."""
    if not task.cancelled():
        task.exception()
