"""An engine that the tests play for a chat daemon's client."""

from collections.abc import Awaitable, Callable

import msgspec

from tests.bus_messages import CHAT, a_row, a_snapshot
from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import jetstream, subjects
from workspaced.bus.announce import push_message
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import flush
from workspaced.bus.messages import GetChat
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.request import Patience
from workspaced.bus.service import Service
from workspaced.fsm.errors import NotFound
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State


class Engine:
    """Knows chats by their latest snapshot, answers `get` and commands, pushes."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.chats: dict[str, Snapshot] = {}
        self.bodies: list[bytes] = []
        self.answers: list[object] = []
        """What the next commands are answered with; an exception is raised."""
        self.reads = 0
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    async def start(self) -> None:
        """Make streams and service."""
        await jetstream.ensure(await self._connections("admin"))
        connection = await self._connections("engine")
        self._publisher = Publisher(connection)
        await self._publisher.start()
        handlers = {"get": self._get} | dict.fromkeys(
            ("create", "stop", "list", "templates.put", "templates.get"), self._next_answer
        )
        self.service = Service(connection, handlers, "0.1.0")
        await self.service.start()
        await flush(connection)

    async def move(self, version: int, state: State, chat_id: str = CHAT, *, push: bool = True) -> None:
        """Commit a transition; with `push` False its push gets lost."""
        self.chats[chat_id] = a_snapshot(version, state, chat_id)
        if push:
            await self.push(version, state, chat_id)

    async def push(self, version: int, state: State, chat_id: str = CHAT) -> None:
        """Announce, whatever the chat is now."""
        await self._publisher.publish([push_message(a_row(version, state, chat_id))])

    async def garble(self) -> None:
        """Say what no client can read."""
        await self._publisher.publish([Message(subjects.chat(CHAT, "idle"), b"?")])

    async def _get(self, body: bytes) -> object:
        self.reads += 1
        found = self.chats.get(msgspec.json.decode(body, type=GetChat).chat_id)
        if self.before_answer is not None:
            await self.before_answer()
        if found is None:
            raise NotFound
        return found

    async def _next_answer(self, body: bytes) -> object:
        self.bodies.append(body)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def a_client(nats: NatsServer, role: str = "chatd", patience: Patience | None = None) -> WorkspacedClient:
    """A client of that role."""
    who = nats.roles[role]
    return await WorkspacedClient.connect(
        nats.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix, patience=patience
    )
