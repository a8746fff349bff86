"""Time for clients: what time it is, and being called later. Tests bring a clock of their own, and nothing waits."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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

    def call_later(self, span: timedelta, callback: Callable[[], object], /) -> Alarm:
        """Call `callback` once `span` has passed."""


class LoopClock:
    """The running event loop's time."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.now(UTC)

    def call_later(self, span: timedelta, callback: Callable[[], object], /) -> Alarm:
        """Call `callback` once `span` has passed."""
        return asyncio.get_running_loop().call_later(span.total_seconds(), callback)


class Limit:
    """`async with Limit(clock, span) as limit:` is asyncio.timeout by that clock.

    It raises TimeoutError when the span is over, after which `over` is true; a cancellation by anybody else passes.
    """

    def __init__(self, clock: Clock, span: timedelta) -> None:
        self._clock, self._span = clock, span
        self._scope = asyncio.timeout(None)
        self._alarm: Alarm

    @property
    def over(self) -> bool:
        """The span has passed within the context."""
        return self._scope.expired()

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._alarm = self._clock.call_later(self._span, self._end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        await self._scope.__aexit__(kind, error, trace)  # raises TimeoutError if it was the span

    def _end(self) -> None:
        self._scope.reschedule(asyncio.get_running_loop().time())
