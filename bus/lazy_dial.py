"""Dial at once, ask the engine only if that takes long or fails; the first event wins (the table of domain.md 8.3)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, TypeVar

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
        start: Callable[[Binding], Attempt[C]],
        validate: Callable[[], Awaitable[Binding]],
        clock: Clock,
        delay: timedelta,
    ) -> None:
        """`validate` gives the binding as the engine has it; it raises Unbound, or any error when it could not ask."""
        self._start, self._validate = start, validate
        self._clock, self._delay = clock, delay
        self._attempts: list[Attempt[C]] = []

    async def run(self, held: Binding) -> Attempt[C]:
        """The attempt that connected, for the caller to take from or to abandon.

        Raises Unbound, DialFailed, and the caller's own cancellation unless a dial is there already.
        """
        winner: Attempt[C] | None = None
        try:
            winner = await self._race(held)
        except asyncio.CancelledError:
            if not self._attempts[-1].connected:
                raise
            winner = self._attempts[-1]  # it came in the very turn of the loop that brought the cancellation
        finally:
            for attempt in self._attempts:
                if attempt is not winner:
                    attempt.abandon()
        return winner

    async def _race(self, held: Binding) -> Attempt[C]:
        first = self._begin(held)
        bell: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self._clock.call_later(self._delay, bell.cancel)  # canceled is done, too, and may come twice
        try:
            await asyncio.wait((first.task, bell), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
        if first.connected:
            return first
        return await (self._after_failure(first) if first.task.done() else self._after_delay(first))

    async def _after_failure(self, first: Attempt[C]) -> Attempt[C]:
        try:
            binding = await self._validate()
        except Unbound:
            raise
        except WorkspacedError as error:
            raise DialFailed(f"dial with lazy validation: {error}") from first.failure()
        return await self._second(binding, confirmed=binding.agent_id == first.binding.agent_id)

    async def _after_delay(self, first: Attempt[C]) -> Attempt[C]:
        checking = asyncio.ensure_future(self._validate())
        try:
            await asyncio.wait((first.task, checking), return_when=asyncio.FIRST_COMPLETED)
            if first.connected:
                return first
            binding = await checking
        except Unbound:
            raise
        except WorkspacedError:
            binding = first.binding  # the engine cannot be asked: the dial may still succeed
        finally:
            checking.cancel()
        if binding.agent_id != first.binding.agent_id:
            first.abandon()
            return await self._second(binding, confirmed=False)
        return await _outcome(first, confirmed=False)

    async def _second(self, binding: Binding, *, confirmed: bool) -> Attempt[C]:
        return await _outcome(self._begin(binding), confirmed=confirmed)

    def _begin(self, binding: Binding) -> Attempt[C]:
        attempt = self._start(binding)
        self._attempts.append(attempt)
        return attempt


async def _outcome(attempt: Attempt[C], *, confirmed: bool) -> Attempt[C]:
    await asyncio.wait((attempt.task,))
    if failure := attempt.failure():
        cause = str(failure) or type(failure).__name__
        raise DialFailed(f"dial with lazy validation: {cause}", confirmed=confirmed) from failure
    return attempt
