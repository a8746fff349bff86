"""One tool call: who makes it, for which chat, and over which client."""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct, field

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.clock import Clock, LoopClock
from workspaced.fsm.commands import Owner

LONGEST_ID: Final = 120
"""Of a tool call's id; a request id may have 128 characters, and `.2` comes after it."""


class ToolSettings(Struct, frozen=True):
    """Limits of a process that runs tools (domain.md section 11)."""

    tool_wait: timedelta = timedelta(minutes=22)
    """In all, per call; shorter than the sum of the deadlines on purpose."""
    request_attempts: int = 3


class ToolCall(Struct, frozen=True, kw_only=True):
    """The call of a tool by a model, in the chat `chat_id`. Repeated under the same `id` it replays its answers."""

    client: WorkspacedClient | None
    chat_id: str
    owner: Owner
    organization_id: str
    id: str
    """The model's tool call id."""
    child: bool = False
    """The chat is a sub-agent's; it is offered none of these tools."""
    settings: ToolSettings = ToolSettings()
    clock: Clock = field(default_factory=LoopClock)

    def request_id(self, number: int) -> str:
        """`R` for the first command of the call, then `R.2`, `R.3`, …; an id that is not fit for it is hashed."""
        fit = self.id.isascii() and self.id.isprintable() and " " not in self.id and 0 < len(self.id) <= LONGEST_ID
        own = self.id if fit else sha256(self.id.encode(errors="surrogatepass")).hexdigest()
        return own if number == 1 else f"{own}.{number}"


Arguments = Mapping[str, Any]
"""What a model gives a tool: JSON."""
