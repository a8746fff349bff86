"""When an engine looks after the room in EVENTS: as it works, and seldom."""

import logging
import time
from datetime import timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.bus.room import make_room
from workspaced.fsm.errors import Unavailable

INPUTS: Final = 1000
SELDOM: Final = timedelta(seconds=30)
"""A look after so many inputs, and with the next input after so long."""

_log = logging.getLogger(__name__)


class Room:
    """Looks with the first input."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._inputs = 0
        self._looked_at = -SELDOM.total_seconds()

    async def after(self, inputs: int) -> None:
        """So many more are acknowledged."""
        self._inputs += inputs
        if self._inputs >= INPUTS or time.monotonic() - self._looked_at >= SELDOM.total_seconds():
            await self.look()

    async def look(self) -> None:
        """Make room if it is needed; without NATS another time."""
        self._inputs, self._looked_at = 0, time.monotonic()
        try:
            if dropped := await make_room(self._connection):
                _log.warning("EVENTS was nearly full: dropped %d messages that are decided", dropped)
        except Unavailable as error:
            _log.warning("cannot look after the room in EVENTS: %s", error)
