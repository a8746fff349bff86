"""What keeps an engine at its work: it takes from the streams, and waits where there is nothing to take from."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.app.engine import Engine
from workspaced.app.settling import FIRST_WAIT, LONGEST_WAIT, Settling
from workspaced.bus import streams
from workspaced.bus.pull import Intake, nak
from workspaced.fsm.errors import Unavailable

CONSUMERS: Final = ((streams.EVENTS, streams.ENGINE), (streams.TIMERS, streams.ENGINE))
GIVING_BACK: Final = timedelta(seconds=1)

_log = logging.getLogger(__name__)


class Work:
    """An engine that works off what arrives, from its making until `finish`."""

    def __init__(self, connection: Client, engine: Engine, settling: Settling, ending: asyncio.Event, cap: int) -> None:
        """`cap` is how many messages of each stream are taken at once; when `ending` is set, no more are."""
        self._connection, self._engine, self._settling, self._ending = connection, engine, settling, ending
        self._cap = cap
        self.intake: Intake | None = None
        """None while there is nothing to take from."""
        self._task = asyncio.create_task(self._keep_on())

    async def failed(self) -> None:
        """Wait until it ends by itself, which it only does for a fault; that is raised."""
        await asyncio.shield(self._task)

    async def reconnected(self) -> None:
        """What the connection of before brought and nobody took yet is given back."""
        if self.intake is not None:
            await nak(self._connection, self.intake.reconnected())

    async def finish(self) -> None:
        """Take no more, and wait until what was taken is done; a cancelation waits until it is given back."""
        if self.intake is not None:
            self.intake.end()
        else:
            self._task.cancel()
        tasks = [self._task, *self._settling.stop()]
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:  # the drain limit; they are canceled too and give back what they hold
            await asyncio.wait(tasks, timeout=GIVING_BACK.total_seconds())
            raise

    async def _keep_on(self) -> None:
        """Take from the streams; when a consumer goes, wait until the streams are there again, perhaps new ones."""
        wait = FIRST_WAIT
        while not self._ending.is_set():
            try:
                self.intake = Intake(self._connection, CONSUMERS, cap=self._cap)
                await self.intake.start()
                await self._engine.run(self.intake)
            except Unavailable as error:
                _log.warning("not taking messages: %s", error)
                self.intake = None
                await asyncio.sleep(wait.total_seconds())
                if await self._settling.made_good():
                    wait = FIRST_WAIT
                    self._settling.begin_late()
                else:
                    wait = min(2 * wait, LONGEST_WAIT)
