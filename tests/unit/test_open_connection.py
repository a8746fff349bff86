"""Opening a connection ends when its time is over, whatever the library does with a cancel."""

import asyncio
from datetime import timedelta

import pytest

from workspaced.bus.connection import open_connection
from workspaced.bus.lasting_client import LastingClient
from workspaced.fsm.errors import Unavailable


class Deaf:
    """A client whose `connect` forgets the first cancel, as `asyncio.wait_for` does when it comes with a result."""

    def __init__(self) -> None:
        self.tries = 0
        self.closed = False
        self.trying = asyncio.Event()

    async def connect(self, *_: object, **__: object) -> None:
        """Never gets there."""
        while True:
            self.tries += 1
            self.trying.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                if self.tries > 1:
                    raise

    async def close(self) -> None:
        """Note it: something may have been opened."""
        self.closed = True


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Deaf:
    """In place of the library's."""
    deaf = Deaf()
    monkeypatch.setattr(LastingClient, "connect", deaf.connect)
    monkeypatch.setattr(LastingClient, "close", deaf.close)
    return deaf


async def test_a_server_that_turns_away_is_tried_for_the_limit(deaf: Deaf) -> None:
    """Then it is said that it does not answer, and nothing goes on trying."""
    with pytest.raises(Unavailable, match="does not answer"):
        await open_connection("nats://127.0.0.1:1", limit=timedelta(milliseconds=1))

    assert deaf.tries == 2


async def test_who_is_canceled_tries_no_more(deaf: Deaf) -> None:
    """A program that is told to end while it connects."""
    opening = asyncio.create_task(open_connection("nats://127.0.0.1:1", limit=timedelta(hours=1)))
    await deaf.trying.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert deaf.tries == 2
    assert deaf.closed


async def test_nothing_was_opened() -> None:
    """Whoever is canceled before the first try closes all the same."""
    client = LastingClient()
    await client.close()

    assert client.is_closed
