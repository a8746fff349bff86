"""The dial that needs nothing but NATS: `ws.agent.<agent_id>.ping` (domain.md 8.1)."""

import asyncio
from datetime import datetime
from typing import Final

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from workspaced.bus import subjects
from workspaced.bus.attempt import Release
from workspaced.bus.codec import decode
from workspaced.bus.dial_errors import DialError
from workspaced.bus.headers import STATUS
from workspaced.bus.messages import Pong
from workspaced.fsm.values import Lifecycle

_NO_RESPONDERS: Final = "503"


class _Said(Struct):
    """A `Pong` whose ids are any texts: to compare them with a pattern takes longer than all the rest of it."""

    agent_id: str
    build_id: str
    lifecycle: Lifecycle
    at: datetime


class PingConnector:
    """A connector that asks the agent where it stands; there is nothing to release.

    It has an inbox of its own and waits without a limit, for whoever dials has one: that is a good tenth faster than
    the library's `request`.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._inbox = connection.new_inbox()
        self._opening = asyncio.Lock()
        self._open = False
        self._next = 0
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    async def __call__(self, agent_id: str) -> tuple[Pong, Release | None]:
        """The agent's answer. Raises DialError."""
        try:
            message = await self._ask(subjects.ping(agent_id))
        except (NatsError, OSError) as error:
            raise DialError(f"the workspace agent does not answer ({type(error).__name__})") from None
        if not message.data and message.headers and message.headers.get(STATUS) == _NO_RESPONDERS:
            raise DialError("the workspace agent is not connected")
        try:
            said = decode(message.data, _Said)
        except ValueError:
            raise DialError("what answers in the workspace agent's name is no agent") from None
        return Pong(said.agent_id, said.build_id, said.lifecycle, said.at), None

    async def _ask(self, subject: str) -> Msg:
        if not self._open:
            await self._subscribe()
        self._next += 1
        inbox = f"{self._inbox}.{self._next}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[inbox] = answer
        try:
            await self._connection.publish(subject, b"{}", reply=inbox)
            return await answer
        finally:
            del self._waiting[inbox]

    async def _subscribe(self) -> None:
        async with self._opening:
            if not self._open:
                await self._connection.subscribe(f"{self._inbox}.*", cb=self._on_answer)
                self._open = True

    async def _on_answer(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)
