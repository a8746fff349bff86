"""The secret of a build's agents: with it they get in, for as long as that build is the latest (wire.md section 6).

It is made of the engines' common key and the build's id, so that nobody has to keep it: whoever says a job again after
a crash says the same one, and Postgres holds no more than its hash.
"""

import hmac
from hashlib import sha256

from msgspec import Struct


class AgentSecrets(Struct, frozen=True):
    """Secrets made with one `key`; all engines of a place have the same."""

    key: str

    def of(self, build_id: str) -> str:
        """The secret of a build's agents, 64 hex digits."""
        return hmac.digest(self.key.encode(), build_id.encode(), "sha256").hex()

    def hash_of(self, build_id: str) -> str:
        """What is kept of it."""
        return hashed(self.of(build_id))

    def __repr__(self) -> str:
        """Without the key: it must not get into a log."""
        return "AgentSecrets(...)"


def hashed(secret: str) -> str:
    """SHA-256, 64 hex digits; a secret of 256 bits needs no salt."""
    return sha256(secret.encode()).hexdigest()
