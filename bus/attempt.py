"""One dial: a task of its own, whose connection is used once, or released once when nobody wants it any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from workspaced.bus.background import Background
from workspaced.bus.binding import Binding
from workspaced.bus.clock import Clock
from workspaced.bus.dial_errors import DialError

C = TypeVar("C")

Release = Callable[[], Awaitable[None]]
Connector = Callable[[str], Awaitable[tuple[C, Release | None]]]
"""From an agent's id to (connection, what releases it, if anything does).

A connection that has a `build_id` is checked by it.
"""


class Attempt(Generic[C]):
    """A dial that is under way. It is not canceled when it is abandoned: what comes of it late is released."""

    def __init__(
        self,
        binding: Binding,
        connector: Connector[C],
        on_end: Callable[[], None],
        background: Background,
        clock: Clock,
        patience: float,
    ) -> None:
        """`on_end` is called when it succeeded or failed; `patience`: seconds it may go on once abandoned."""
        self.binding = binding
        self.connection: tuple[C, Release | None] | None = None
        """What it brought."""
        self.failure: BaseException | None = None
        self._on_end, self._background, self._clock, self._patience = on_end, background, clock, patience
        self._settled = False
        self._task = asyncio.create_task(self._dial(connector))

    @property
    def ended(self) -> bool:
        """It succeeded or failed."""
        return self.connection is not None or self.failure is not None

    def take(self) -> tuple[C, Release | None]:
        """The connection, for whoever calls this first. Raises what the dial failed with."""
        self._settled = True
        if self.connection is None:
            raise self.failure or DialError
        return self.connection

    def abandon(self) -> None:
        """Nobody wants it any more, unless it was taken."""
        if self._settled:
            return
        self._settled = True
        if self.ended:
            self._release()
        else:
            alarm = self._clock.call_later(self._patience, self._task.cancel)
            self._task.add_done_callback(lambda _: alarm.cancel())

    async def _dial(self, connector: Connector[C]) -> None:
        try:
            connection, release = await connector(self.binding.agent_id)
        except asyncio.CancelledError:
            self.failure = DialError("the dial was canceled")
            raise
        except BaseException as error:  # noqa: BLE001  # whoever waits for the dial is told
            self.failure = error
        else:
            self.connection = connection, release
            build_id = getattr(connection, "build_id", None)
            if build_id is not None and self.binding.build_id is not None and build_id != self.binding.build_id:
                self._release()
                self.failure = DialError("the agent that answered belongs to another build")
            elif self._settled:
                self._release()
        finally:
            # Here and not in a callback of the task: whoever waits goes on a turn of the loop earlier.
            self._on_end()

    def _release(self) -> None:
        """Release what it brought, once."""
        connection, self.connection = self.connection, None
        if connection is not None and connection[1] is not None:
            self._background.run("release of a connection that is not wanted", connection[1])
