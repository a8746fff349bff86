"""A chat daemon that dials, on the real servers: what it asked, dialed and released, and pushes that it may miss."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nats.aio.msg import Msg

from tests.e2e.gate import Gate
from tests.e2e.provisioner import Agent, now
from tests.e2e.stack import LIMIT, Stack
from tests.e2e.tool_user import ToolUser
from tests.fake_clock import FakeClock
from workspaced.bus.attempt import Release
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import flush
from workspaced.bus.dial import Dialer
from workspaced.bus.lent import Borrowed
from workspaced.bus.messages import Pong
from workspaced.bus.ping import PingConnector

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription


class Asked:
    """Every request on `ws.api.>`, by verb."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._heard: list[str] = []
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Hear them from now on."""
        await self._stack.admin.subscribe("ws.api.>", cb=self._on_message)
        await flush(self._stack.admin)

    async def verbs(self, client: WorkspacedClient) -> list[str]:
        """What was asked since the last time."""
        await client.connection.flush()  # the server has all that was published
        await self._stack.admin.flush()  # and has passed it on
        heard, self._heard = self._heard, []
        return heard

    async def until(self, verb: str) -> None:
        """Wait until that is asked."""
        async with asyncio.timeout(LIMIT):
            while verb not in self._heard:
                self._news.clear()
                await self._news.wait()

    async def _on_message(self, message: Msg) -> None:
        self._heard.append(message.subject.removeprefix("ws.api."))
        self._news.set()


class Daemon:
    """One chat's daemon. Its connection is the agent's answer to a ping, and something to be released."""

    def __init__(self, user: ToolUser, client: WorkspacedClient, gate: Gate) -> None:
        """Pushes to `client` wait at the `gate`."""
        self.user, self.client, self.gate = user, client, gate
        self.asked = Asked(user.stack)
        self.clock = FakeClock()
        self.clock.moment = datetime.now(UTC)  # links are told by real time
        self.dialed: list[str] = []
        self.released: list[str] = []
        self.rebound: list[str | None] = []
        self.pinged = asyncio.Event()
        """Some agent was asked."""
        self._ears: dict[str, Subscription] = {}
        self._ping = PingConnector(client.connection)
        self.dialer: Dialer[Pong] = Dialer(
            client, self._connect, clock=self.clock, on_rebound=lambda chat: self.rebound.append(chat.agent_id)
        )

    async def dial(self) -> Borrowed[Pong]:
        """Dial, without a word of the time that it takes."""
        async with asyncio.timeout(LIMIT):
            return await self.dialer.dial(self.user.chat_id)

    async def begin(self) -> "asyncio.Task[Borrowed[Pong]]":
        """Dial an agent that hangs; it was asked."""
        self.pinged.clear()
        dial = asyncio.create_task(self.dial())
        async with asyncio.timeout(LIMIT):
            await self.pinged.wait()
        return dial

    async def in_use(self) -> None:
        """Have a snapshot held and no connection, and forget what that took."""
        (await self.dial()).give_back()
        self.dialer.drop(self.user.chat_id)
        await self.asked.verbs(self.client)
        self.dialed.clear()
        self.released.clear()

    async def verbs(self) -> list[str]:
        """What was asked since the last time, or since the chat is in use."""
        return await self.asked.verbs(self.client)

    # --- agents -------------------------------------------------------------------------------------------------------

    async def answers(self, agent: Agent, first: Callable[[], Awaitable[object]] | None = None) -> None:
        """Have an agent answer, once it has done something `first`."""

        async def pong(message: Msg) -> None:
            self.pinged.set()
            if first is not None:
                await first()
            body = {"agent_id": agent.id, "build_id": agent.job["build_id"], "lifecycle": "ready", "at": now()}
            await message.respond(json.dumps(body).encode())

        await self._hear(agent, pong)

    async def hangs(self, agent: Agent) -> None:
        """Have an agent listen, and never answer."""

        async def note(_: Msg) -> None:
            self.pinged.set()

        await self._hear(agent, note)

    async def crashes(self, agent: Agent) -> None:
        """Have nobody listen in the agent's place: a dial fails at once."""
        await self._ears.pop(agent.id).unsubscribe()
        await flush(agent.connection)

    async def _hear(self, agent: Agent, heard: Callable[[Msg], Awaitable[None]]) -> None:
        if agent.id in self._ears:
            await self._ears.pop(agent.id).unsubscribe()
        self._ears[agent.id] = await agent.connection.subscribe(f"ws.agent.{agent.id}.ping", cb=heard)
        await flush(agent.connection)

    async def _connect(self, agent_id: str) -> tuple[Pong, Release | None]:
        self.dialed.append(agent_id)
        pong, _ = await self._ping(agent_id)

        async def release() -> None:
            self.released.append(agent_id)

        return pong, release
