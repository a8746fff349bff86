"""The chats in use: one subscription and one `Held` each, read again only when something is missing (domain.md 8.2)."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct
from nats.errors import Error as NatsError

from workspaced.bus.binding import Binding, unbound
from workspaced.bus.dial_errors import ReloadFailed, WorkspaceChanged
from workspaced.bus.dial_settings import Engine
from workspaced.bus.held import Held
from workspaced.fsm.errors import NotFound, WorkspacedError
from workspaced.fsm.snapshot import Snapshot

C = TypeVar("C")


class Call(Struct):
    """One dial of one caller, across all that it has to begin anew."""

    chat_id: str
    requests: int = 0
    fresh: bool = False
    """This call has read the held snapshot, and reading it once more would tell nothing."""
    dialed: Binding | None = None
    """The agent that is being dialed."""
    slow: Callable[[], None] = lambda: None
    """Called before anything that may take long."""


class Holdings(Generic[C]):
    """By chat. A chat's subscription begins with its first use and ends with `leave`."""

    def __init__(self, engine: Engine, on_rebound: Callable[[Snapshot], None], attempts: int) -> None:
        """`attempts`: how often a binding is looked for anew when the chat changes its workspace meanwhile."""
        self._engine, self._on_rebound, self._attempts = engine, on_rebound, attempts
        self._chats: dict[str, Held[C]] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    def known(self, chat_id: str) -> Held[C] | None:
        """What is held of a chat in use."""
        return self._chats.get(chat_id)

    async def of(self, call: Call) -> Held[C]:
        """What is held of the chat, which is in use from now on. Raises ReloadFailed."""
        if held := self._chats.get(call.chat_id):
            return held
        call.slow()
        async with self._opening.setdefault(call.chat_id, asyncio.Lock()):  # the first one opens, the others wait
            return self._chats.get(call.chat_id) or await self._open(call)

    async def resolve(self, call: Call, held: Held[C]) -> Binding:
        """The held binding, or what one `get` says. Raises Unbound, ReloadFailed, WorkspaceChanged."""
        for _ in range(self._attempts):
            if held.binding:
                return held.binding
            before = held.workspace_id
            if not call.fresh:
                await self._reload_or_fail(call, held)
            call.fresh = False
            if before is not None and held.workspace_id != before:
                continue
            if held.binding:
                return held.binding
            raise unbound(held.snapshot)
        raise WorkspaceChanged("chat workspace changed while resolving agent")

    async def reload(self, call: Call, held: Held[C]) -> None:
        """Ask the engine. Raises what `get` raises, but a chat without a row is one without a workspace."""
        call.requests += 1
        call.slow()
        try:
            held.replace(await self._engine.get(call.chat_id))
        except NotFound:
            held.forget()
        call.fresh = True

    async def leave(self, chat_id: str) -> None:
        """The chat is not in use any more."""
        self._opening.pop(chat_id, None)
        if held := self._chats.pop(chat_id, None):
            held.drop()
            await self._engine.unfollow(chat_id, held)

    async def close(self) -> None:
        """No chat is in use any more."""
        for chat_id in list(self._chats):
            await self.leave(chat_id)

    async def _open(self, call: Call) -> Held[C]:
        held: Held[C] = Held(self._on_rebound, lambda: self._ended(call.chat_id))
        try:
            call.requests += await self._engine.follow(call.chat_id, held)
        except (WorkspacedError, NatsError) as error:
            raise ReloadFailed(f"reload chat workspace state: {error}") from error
        self._chats[call.chat_id] = held
        call.fresh = True
        return held

    def _ended(self, chat_id: str) -> None:
        self._chats.pop(chat_id, None)

    async def _reload_or_fail(self, call: Call, held: Held[C]) -> None:
        try:
            await self.reload(call, held)
        except WorkspacedError as error:
            raise ReloadFailed(f"reload chat workspace state: {error}") from error
