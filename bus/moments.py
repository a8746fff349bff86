"""Named moments. In production nothing happens at them; a test may wait for one, stall there or crash."""

from collections.abc import Awaitable, Callable
from typing import Final

CHAT_CLIENT: Final = ("before_request", "after_answer", "subscribed", "pushed")
"""A request is about to go, its answer is here; a watch listens and has read nothing yet, a push was taken."""

PROVISIONER: Final = ("job_taken", "job_begun", "job_done", "end_told", "job_acknowledged")
"""A job arrived, `running` is stored, the handler has ended, the end is stored, the job has left the queue."""

AGENT: Final = ("before_connected", "connected_told", "before_lifecycle", "lifecycle_told")
"""Around the storing of each report."""


class Moments:
    """Calls what a test has put at a moment."""

    def __init__(self) -> None:
        self.at: dict[str, Callable[[], Awaitable[None]]] = {}

    async def reach(self, name: str) -> None:
        """The moment `name` has come."""
        if self.at and (hook := self.at.get(name)) is not None:
            await hook()
