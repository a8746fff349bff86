"""Where ids and chance come from: given to the core, never made in it."""

from typing import Protocol
from uuid import UUID


class Ids(Protocol):
    """A source of fresh ids and random choices; tests give one that repeats."""

    def uuid(self) -> str:
        """A fresh UUID, canonical lower case."""
        ...

    def below(self, limit: int) -> int:
        """A random number from 0 to `limit` - 1."""
        ...


def canonical(text: str) -> str:
    """The id in any spelling of a UUID as the engine writes it. Raises ValueError with the reason."""
    found = str(UUID(text.strip()))
    if found.replace("-", "") not in text.replace("-", "").lower():  # UUID also takes `0x…` and digits of any script
        raise ValueError("badly formed hexadecimal UUID string")
    return found
