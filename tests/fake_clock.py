"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

TURNS = 50
"""So many turns of the loop let everything run that does not wait for the world outside."""


class FakeAlarm:
    """A call that is still to come."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Have it not come."""
        self.callback = None


class FakeClock:
    """Satisfies `workspaced.bus.clock.Clock`."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
        self._order = count()
        self._alarms: list[tuple[datetime, int, FakeAlarm]] = []

    @property
    def waiting(self) -> int:
        """How many alarms are set."""
        return sum(alarm.callback is not None for _, _, alarm in self._alarms)

    def now(self) -> datetime:
        """The time."""
        return self.moment

    def time(self) -> float:
        """Seconds since some moment."""
        return self.moment.timestamp()

    def call_later(self, seconds: float, callback: Callable[[], object], /) -> FakeAlarm:
        """Call `callback` when `pass_time` has come that far."""
        alarm = FakeAlarm(callback)
        heapq.heappush(self._alarms, (self.moment + timedelta(seconds=seconds), next(self._order), alarm))
        return alarm

    async def pass_time(self, seconds: float) -> None:
        """Let that much time pass; what is due happens at its time, and is through before the time goes on."""
        await settle()
        end = self.moment + timedelta(seconds=seconds)
        while self._alarms and self._alarms[0][0] <= end:
            self.moment, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                alarm.callback()
                await settle()
        self.moment = end


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
