"""Named moments of a batch. In production nothing happens at them; a test may wait for one, stall there or crash."""

from collections.abc import Awaitable, Callable

AT = ("before_lock", "after_load", "after_write", "after_commit", "between_effects", "before_ack", "after_ack")


class Moments:
    """Calls what a test has put at a moment."""

    def __init__(self) -> None:
        self.at: dict[str, Callable[[], Awaitable[None]]] = {}

    async def reach(self, name: str) -> None:
        """The moment `name` has come."""
        if self.at and (hook := self.at.get(name)) is not None:
            await hook()
