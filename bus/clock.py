"""Time for clients: what time it is, and being called later. Tests bring a clock of their own, and nothing waits."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self


class Alarm(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Have it not come."""


class Clock(Protocol):
    """What a client knows of time."""

    def now(self) -> datetime:
        """The time, aware, UTC."""

    def time(self) -> float:
        """Seconds since some moment; they never go back."""

    def call_later(self, seconds: float, callback: Callable[[], object], /) -> Alarm:
        """Call `callback` once so many seconds have passed."""


class LoopClock:
    """The running event loop's time."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.now(UTC)

    time = staticmethod(time.monotonic)
    """Seconds since some moment; they never go back."""

    def call_later(self, seconds: float, callback: Callable[[], object], /) -> Alarm:
        """Call `callback` once so many seconds have passed."""
        return asyncio.get_running_loop().call_later(seconds, callback)


class Limit:
    """`with Limit(clock, seconds) as limit:` is asyncio.timeout by that clock.

    It raises TimeoutError when they are over, after which `over` is true; a cancellation by anybody else passes.
    With `armed` false it keeps no watch until `arm` is called, by whomever, and counts from the beginning all
    the same: whoever is done in a moment does without the alarm, which costs more than all the rest of it.
    """

    __slots__ = ("_alarm", "_armed", "_cancels", "_clock", "_seconds", "_task", "_until", "over")

    def __init__(self, clock: Clock, seconds: float, *, armed: bool = True) -> None:
        self.over = False
        self._clock, self._seconds, self._armed = clock, seconds, armed
        self._alarm: Alarm | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancels = self._task.cancelling() if self._task else 0
        self._until = self._clock.time() + self._seconds
        if self._armed:
            self.arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is None:
            return
        self._alarm.cancel()
        # As asyncio.timeout does: our own cancellation is taken back, and is a TimeoutError if there was no other one.
        if self.over and self._task and self._task.uncancel() <= self._cancels and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def arm(self) -> None:
        """Keep watch from now on."""
        if self._alarm is None:
            self._alarm = self._clock.call_later(max(self._until - self._clock.time(), 0), self._end)

    def _end(self) -> None:
        self.over = True
        if self._task is not None:
            self._task.cancel()
