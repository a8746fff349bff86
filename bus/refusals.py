"""What the server does not let a connection say or hear, told at once to whoever waits for it."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from workspaced.fsm.errors import Forbidden

_REFUSED: Final = re.compile(r'permissions violation for (publish|subscription) to "(.+?)"', re.IGNORECASE)
_VERBS: Final = {"publish": "ask", "subscription": "hear"}


class _Waiting:
    """Somebody who waits on a subject; the server may answer in the very moment in which it refuses."""

    def __init__(self) -> None:
        self.limit = asyncio.timeout(None)
        self.refused: str | None = None
        """What may not be done."""


class Refusals:
    """Of one connection. Without them what is not permitted ends only by its timeout, or never."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[_Waiting]] = defaultdict(set)

    def hear(self, error: Exception) -> None:
        """The server said `error`; whoever waits on the subject that it names waits no longer."""
        if found := _REFUSED.search(str(error)):
            now = asyncio.get_running_loop().time()
            for waiting in self._waiting.get(_key(found[2]), ()):
                if waiting.refused is None:  # a limit that is over cannot be set again
                    waiting.refused = _VERBS[found[1].lower()]
                    waiting.limit.reschedule(now)

    @asynccontextmanager
    async def raised(self, subject: str) -> AsyncIterator[None]:
        """Raises Forbidden as soon as the server refuses a message on `subject`, or a subscription of it."""
        key, waiting = _key(subject), _Waiting()
        self._waiting[key].add(waiting)
        try:
            async with waiting.limit:
                yield
        except TimeoutError:
            if not waiting.limit.expired():
                raise
        finally:
            self._waiting[key].discard(waiting)
            if not self._waiting[key]:
                del self._waiting[key]
        if waiting.refused:
            text = f"NATS does not let this user {waiting.refused} {subject}; docs/security.md tells which role may"
            raise Forbidden(text, code="forbidden") from None


def _key(subject: str) -> str:
    return subject.lower()  # the library makes the server's errors lower case
