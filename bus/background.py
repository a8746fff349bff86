"""Work that nobody waits for: a release, a report."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from workspaced.bus.headers import one_line

_log = logging.getLogger(__name__)


class Background:
    """Tasks that end by themselves; what goes wrong in one is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` some time soon; `what` names it in the log."""
        task = asyncio.create_task(self._attend(what, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def done(self) -> None:
        """Wait for all that was begun."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _attend(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # nobody waits for it, so nobody else can be told
            _log.warning("%s: %s", what, one_line(str(error)) or type(error).__name__)
