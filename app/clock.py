"""Time and chance of a running process; tests give others."""

import secrets
from datetime import UTC, datetime
from uuid import uuid4


def utc_now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


class RandomIds:
    """Ids from the system's source of randomness."""

    def uuid(self) -> str:
        """A fresh UUID, canonical lower case."""
        return str(uuid4())

    def below(self, limit: int) -> int:
        """A random number from 0 to `limit` - 1."""
        return secrets.randbelow(limit)
