"""A named moment at which the first to come has to wait."""

import asyncio

from workspaced.bus.moments import Moments


class Gate:
    """Lets everybody through until it is closed; then holds the first who comes until it is opened."""

    def __init__(self, moment: str, moments: Moments | None = None) -> None:
        """`moments` are another gate's, where one program has several."""
        self.moments = moments or Moments()
        self.reached = asyncio.Event()
        self._moment = moment
        self._opened = asyncio.Event()

    def close(self) -> None:
        """From now on."""
        self.moments.at[self._moment] = self._hold

    def open(self) -> None:
        """Let go."""
        self._opened.set()

    async def _hold(self) -> None:
        del self.moments.at[self._moment]
        self.reached.set()
        await self._opened.wait()
