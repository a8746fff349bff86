"""What the server refuses ends the waiting for it, however often it is said."""

import asyncio

import pytest

from workspaced.bus.refusals import Refusals
from workspaced.fsm.errors import Forbidden

REFUSED = Exception('nats: permissions violation for publish to "ws.api.get"')


async def test_said_again() -> None:
    """Many ask at once, and the server answers each: who is ending already is left alone, and the reader reads on."""
    refusals, waiting, over = Refusals(), asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        async with refusals.raised("ws.api.get"):
            waiting.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                waiting.clear()
                over.set()
                await asyncio.sleep(0)
                refusals.hear(REFUSED)
                raise

    asking = asyncio.create_task(ask())
    await waiting.wait()
    refusals.hear(REFUSED)

    with pytest.raises(Forbidden, match="ask"):
        await asking
