"""Names made for a model that are the same whenever its call is repeated."""

from hashlib import sha256
from uuid import UUID


class RepeatableIds:
    """Chance that depends on `seed` alone: a repeated call must send what it sent before (`workspaced.fsm.ids`)."""

    def __init__(self, seed: str) -> None:
        self._seed, self._drawn = seed, 0

    def uuid(self) -> str:
        """An id."""
        return str(UUID(bytes=self._draw()[:16]))

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        return int.from_bytes(self._draw()) % limit

    def _draw(self) -> bytes:
        self._drawn += 1
        return sha256(f"{self._seed}:{self._drawn}".encode(errors="surrogatepass")).digest()
