"""Everything that is said on a NATS account, in order, and waiting for what ought to be said."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from workspaced.bus.codec import decode
from workspaced.bus.connection import flush


class Failed(Exception):  # a verdict, not an error
    """A duty was not done; the text says which and how."""


class Skipped(Exception):  # a verdict, not an error
    """A check cannot be made here; the text says why."""


class Said(Struct, frozen=True):
    """One message as it went over the wire."""

    subject: str
    body: bytes
    headers: dict[str, str]
    reply: str

    def json(self) -> dict[str, Any]:
        """Its body. Raises Failed when that is no JSON object."""
        try:
            body = decode(self.body, object)
        except ValueError:
            raise Failed(f"the body on {self.subject} is no JSON: {self.body[:80]!r}") from None
        if not isinstance(body, dict):
            raise Failed(f"the body on {self.subject} is no JSON object: {self.body[:80]!r}")
        return body

    @property
    def name(self) -> str | None:
        """What makes it the same message when it is sent again."""
        return self.headers.get("Nats-Msg-Id") or self.json().get("id")


Wanted = Callable[[Said], bool]


HEARD: Final = ("ws.>", "$JS.ACK.>")
"""Not the inboxes: while somebody listens to one, the server takes a killed program for one that still waits there."""


class Wire:
    """Listens to what is said on `HEARD`, in the server's order."""

    def __init__(self, connection: Client, patience_s: float) -> None:
        self.connection = connection
        self.patience_s = patience_s
        self.said: list[Said] = []
        self._news = asyncio.Condition()
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen; whatever is said from now on is heard."""
        first, *others = [
            await self.connection.subscribe(subject, pending_msgs_limit=0, pending_bytes_limit=0) for subject in HEARD
        ]
        for other in others:  # one queue keeps the order, which two would lose; the library has no such thing
            other._pending_queue = first._pending_queue  # noqa: SLF001  # as above
        self._listener = asyncio.create_task(self._listen(first._pending_queue))  # noqa: SLF001  # as above
        await flush(self.connection)

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            self._listener.cancel()

    @property
    def now(self) -> int:
        """A place in what was said, to look from later."""
        return len(self.said)

    def all(self, wanted: Wanted, since: int = 0) -> list[Said]:
        """What was said since then."""
        return [one for one in self.said[since:] if wanted(one)]

    async def until(self, what: str, wanted: Wanted, since: int = 0, *, count: int = 1) -> Said:
        """The `count`-th such message, said already or to come. Raises Failed, naming `what`, when it does not come."""
        try:
            async with asyncio.timeout(self.patience_s), self._news:
                while True:
                    found = self.all(wanted, since)
                    if len(found) >= count:
                        return found[count - 1]
                    await self._news.wait()
        except TimeoutError:
            raise Failed(f"{what} did not come within {self.patience_s:.0f} s") from None

    async def silent(self, what: str, wanted: Wanted, since: int, seconds: float) -> None:
        """Listen for `seconds`. Raises Failed, naming `what`, when such a message is said."""
        end = time.monotonic() + seconds
        try:
            async with asyncio.timeout(end - time.monotonic()), self._news:
                while not (found := self.all(wanted, since)):
                    await self._news.wait()
        except TimeoutError:
            return
        raise Failed(f"{what}: {found[0].subject} {found[0].body[:200].decode(errors='replace')}")

    async def say(self, subject: str, body: object) -> None:
        """Publish."""
        await self.connection.publish(subject, json.dumps(body).encode())
        await flush(self.connection)

    async def _listen(self, queue: "asyncio.Queue[Msg]") -> None:
        while True:
            message = await queue.get()
            async with self._news:
                self.said.append(Said(message.subject, message.data, dict(message.headers or {}), message.reply))
                self._news.notify_all()
