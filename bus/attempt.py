"""One dial: a task of its own, whose connection is used once, or released once when nobody wants it any more."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Generic, TypeVar

from workspaced.bus.background import Background
from workspaced.bus.binding import Binding
from workspaced.bus.clock import Clock
from workspaced.bus.dial_errors import DialError

C = TypeVar("C")

Release = Callable[[], Awaitable[None]]
Connector = Callable[[str], Awaitable[tuple[C, Release]]]
"""From an agent's id to (connection, what releases it). A connection that has a `build_id` is checked by it."""


class Attempt(Generic[C]):
    """A dial that is under way. It is not canceled when it is abandoned: what comes of it late is released."""

    def __init__(
        self, binding: Binding, connector: Connector[C], background: Background, clock: Clock, patience: timedelta
    ) -> None:
        """`patience`: how long an abandoned dial may go on."""
        self.binding = binding
        self._background, self._clock, self._patience = background, clock, patience
        self._settled = False
        self.task = asyncio.create_task(_dial(binding, connector, background))

    @property
    def connected(self) -> bool:
        """It succeeded."""
        return self.task.done() and self.failure() is None

    def failure(self) -> BaseException | None:
        """Why it failed, once it is done."""
        return DialError("the dial was canceled") if self.task.cancelled() else self.task.exception()

    def take(self) -> tuple[C, Release]:
        """The connection, for whoever calls this first."""
        self._settled = True
        return self.task.result()

    def abandon(self) -> None:
        """Nobody wants it any more, unless it was taken."""
        if self._settled:
            return
        self._settled = True
        alarm = self._clock.call_later(self._patience, self.task.cancel)

        def over(task: asyncio.Task[tuple[C, Release]]) -> None:
            alarm.cancel()
            if not task.cancelled() and task.exception() is None:
                _, release = task.result()
                self._background.run("release of an abandoned dial", _released(release))

        self.task.add_done_callback(over)


async def _dial(binding: Binding, connector: Connector[C], background: Background) -> tuple[C, Release]:
    connection, release = await connector(binding.agent_id)
    build_id = getattr(connection, "build_id", None)
    if build_id is not None and binding.build_id is not None and build_id != binding.build_id:
        background.run("release of a connection to another build", _released(release))
        raise DialError("the agent that answered belongs to another build")
    return connection, release


def _released(release: Release) -> Coroutine[Any, Any, None]:
    async def run() -> None:
        await release()

    return run()
