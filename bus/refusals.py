"""What the server does not let a connection say, told at once to whoever waits for an answer to it."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from workspaced.fsm.errors import Forbidden

_PUBLISH: Final = re.compile(r'permissions violation for publish to "(.+)"', re.IGNORECASE)


class Refusals:
    """Of one connection. Without them a request that is not permitted ends only by its timeout, and asks again."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Timeout]] = defaultdict(set)

    def hear(self, error: Exception) -> None:
        """The server said `error`; whoever waits on the subject that it names waits no longer."""
        if found := _PUBLISH.search(str(error)):
            now = asyncio.get_running_loop().time()
            for limit in self._waiting.get(_key(found[1]), ()):
                limit.reschedule(now)

    @asynccontextmanager
    async def raised(self, subject: str) -> AsyncIterator[None]:
        """Raises Forbidden inside as soon as the server refuses a message on `subject`."""
        waiting = self._waiting[_key(subject)]
        limit = asyncio.timeout(None)
        try:
            async with limit:
                waiting.add(limit)
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"NATS does not let this user ask {subject}; docs/security.md tells which role may"
            raise Forbidden(text, code="forbidden") from None
        finally:
            waiting.discard(limit)
            if not waiting:
                self._waiting.pop(_key(subject), None)


def _key(subject: str) -> str:
    return subject.lower()  # the library makes the server's errors lower case
