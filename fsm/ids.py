"""Where ids and chance come from: given to the core, never made in it."""

from typing import Protocol


class Ids(Protocol):
    """A source of fresh ids and random choices; tests give one that repeats."""

    def uuid(self) -> str:
        """A fresh UUID, canonical lower case."""
        ...

    def below(self, limit: int) -> int:
        """A random number from 0 to `limit` - 1."""
        ...
