"""Dial at once, ask the engine only if that takes long or fails; the first event wins (the table of domain.md 8.3)."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from workspaced.bus.attempt import Attempt
from workspaced.bus.binding import Binding
from workspaced.bus.clock import Clock
from workspaced.bus.dial_errors import DialFailed, Unbound
from workspaced.fsm.errors import WorkspacedError

C = TypeVar("C")


class LazyDial(Generic[C]):
    """One use: `run` gives the attempt that connected, and every other one is abandoned."""

    def __init__(
        self,
        start: Callable[[Binding, Callable[[], None]], Attempt[C]],
        validate: Callable[[], Coroutine[Any, Any, Binding]],
        clock: Clock,
        delay: float,
        on_late: Callable[[], None],
    ) -> None:
        """`start` dials and calls back at the end. `validate` gives the binding as the engine has it.

        It raises Unbound, or any other error of ours when the engine could not be asked. `on_late` is called when the
        first dial takes longer than `delay` seconds.
        """
        self._start, self._validate = start, validate
        self._clock, self._delay, self._on_late = clock, delay, on_late
        self._attempts: list[Attempt[C]] = []
        self._news = asyncio.Event()

    async def run(self, held: Binding) -> Attempt[C]:
        """The attempt that connected, for the caller to take from or to abandon.

        Raises Unbound, DialFailed, and the caller's own cancellation unless a dial is there already.
        """
        winner: Attempt[C] | None = None
        try:
            winner = await self._first_event(held)
        except asyncio.CancelledError:
            if not self._attempts[-1].connection:
                raise
            winner = self._attempts[-1]  # it came in the very turn of the loop that brought the cancellation
        finally:
            for attempt in self._attempts:
                if attempt is not winner:
                    attempt.abandon()
        return winner

    async def _first_event(self, held: Binding) -> Attempt[C]:
        first = self._begin(held)
        alarm = self._clock.call_later(self._delay, self._ring)
        try:
            await self._news.wait()
        finally:
            alarm.cancel()
        if first.connection:
            return first
        return await (self._after_failure(first) if first.ended else self._after_delay(first))

    async def _after_failure(self, first: Attempt[C]) -> Attempt[C]:
        try:
            binding = await self._validate()
        except Unbound:
            raise
        except WorkspacedError as error:
            raise DialFailed(f"dial with lazy validation: {error}") from first.failure
        return await self._outcome(self._begin(binding), confirmed=binding.agent_id == first.binding.agent_id)

    async def _after_delay(self, first: Attempt[C]) -> Attempt[C]:
        checking = asyncio.create_task(self._validate())
        checking.add_done_callback(lambda _: self._news.set())
        try:
            await self._until(lambda: first.connection is not None or checking.done())
            if first.connection:
                return first
            binding = checking.result()
        except Unbound:
            raise
        except WorkspacedError:
            binding = first.binding  # the engine cannot be asked: the dial may still succeed
        finally:
            checking.cancel()
        if binding.agent_id != first.binding.agent_id:
            first.abandon()
            first = self._begin(binding)
        return await self._outcome(first, confirmed=False)

    async def _outcome(self, attempt: Attempt[C], *, confirmed: bool) -> Attempt[C]:
        await self._until(lambda: attempt.ended)
        if failure := attempt.failure:
            cause = str(failure) or type(failure).__name__
            raise DialFailed(f"dial with lazy validation: {cause}", confirmed=confirmed) from failure
        return attempt

    async def _until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            self._news.clear()
            await self._news.wait()

    def _begin(self, binding: Binding) -> Attempt[C]:
        attempt = self._start(binding, self._news.set)
        self._attempts.append(attempt)
        return attempt

    def _ring(self) -> None:
        self._on_late()
        self._news.set()
