"""What a process that dials is told, and what it asks of its client."""

from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from workspaced.bus.messages import Reply
from workspaced.bus.watch import Follower
from workspaced.fsm.snapshot import Snapshot


class DialSettings(Struct, frozen=True):
    """Limits of a process that dials (domain.md section 11)."""

    dial_validation_delay: timedelta = timedelta(seconds=5)
    dial_limit: timedelta = timedelta(seconds=30)
    resolve_attempts: int = 2
    disconnected_advice_after: timedelta = timedelta(seconds=90)
    discovery_limit: timedelta = timedelta(seconds=5)
    request_timeout: timedelta = timedelta(seconds=5)
    """How long the engine may take to tell why a dial ran out of time."""
    touch_interval: timedelta = timedelta(minutes=1)


class Engine(Protocol):
    """What dialing asks of the client; `WorkspacedClient` has all of it."""

    async def follow(self, chat_id: str, follower: Follower, /) -> bool:
        """Offer the chat's current snapshot and every newer one; whether the engine was asked for it."""

    async def unfollow(self, chat_id: str, follower: Follower, /) -> None:
        """Offer nothing more."""

    async def get(self, chat_id: str, /) -> Snapshot:
        """The chat as it is now."""

    async def touch(self, chat_id: str, /) -> Reply:
        """Set the workspace's TTL anew."""

    async def unreachable(
        self, chat_id: str, /, *, workspace_id: str, build_id: str, agent_id: str, reason: str
    ) -> Reply:
        """Report that the bound agent could not be reached."""


def never(_: Snapshot) -> bool:
    """No workspace is known to have a TTL: a snapshot does not tell."""
    return False
