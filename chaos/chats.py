"""The chats of a chaos run: each asks for a workspace and then does this and that with it, as a person would."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from uuid import UUID

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.fsm.commands import Owner
from workspaced.fsm.errors import Unavailable, WorkspacedError
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import WAITING

OWNERS = 40
WISHES = {"create": 8, "start": 5, "stop": 4, "restart": 3, "cancel": 3, "delete": 2, "attach": 2, "get": 3}


class Chats:
    """So many chats, each a task of this process, until told to end."""

    def __init__(self, client: WorkspacedClient, seed: int, count: int, organization: str, template: str) -> None:
        self._client = client
        self._chance = random.Random(seed)  # noqa: S311 - not a secret
        self._ids = [self._uuid() for _ in range(count)]
        self._owners = [Owner(self._uuid(), f"owner{number}") for number in range(OWNERS)]
        self._organization, self._template = organization, template
        self.outcomes: Counter[str] = Counter()
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Until `end`."""
        await asyncio.gather(*(self._live(number) for number in range(len(self._ids))))

    def end(self) -> None:
        """Every chat stops after what it does now."""
        self._ending.set()

    async def _live(self, number: int) -> None:
        await asyncio.sleep(self._chance.uniform(0, 3))
        while not self._ending.is_set():
            (wish,) = self._chance.choices(list(WISHES), list(WISHES.values()))
            try:
                outcome = await self._do(wish, number)
            except Unavailable:
                outcome = "unavailable"
            except WorkspacedError as error:
                outcome = error.code
            self.outcomes[f"{wish}: {outcome}"] += 1
            await asyncio.sleep(self._chance.expovariate(0.5))

    async def _do(self, wish: str, number: int) -> str:
        chat, owner = self._ids[number], self._owners[number % OWNERS]
        match wish:
            case "create":
                reply = await self._client.create(
                    chat, owner=owner, organization_id=self._organization, template_id=self._template
                )
            case "attach":  # to another chat of the same owner
                parent = self._ids[(number + OWNERS) % len(self._ids)]
                reply = await self._client.attach(
                    chat, owner=owner, organization_id=self._organization, from_chat_id=parent
                )
            case "get":
                return (await self._client.get(chat)).state
            case _:
                reply = await getattr(self._client, wish)(chat)
        if reply.outcome in {"accepted", "attached"}:
            await self._rest(chat)
        return reply.outcome

    async def _rest(self, chat: str) -> None:
        """Wait for rest, but not for ever: people lose patience."""
        try:
            await self._client.wait_until(chat, at_rest, limit=timedelta(seconds=self._chance.uniform(1, 30)))
        except (TimeoutError, WorkspacedError):
            self.outcomes["lost patience"] += 1

    def _uuid(self) -> str:
        return str(UUID(int=self._chance.getrandbits(128), version=4))


def at_rest(snapshot: Snapshot) -> bool:
    """Nothing is on its way."""
    return snapshot.state not in WAITING and snapshot.waiting_for is None
