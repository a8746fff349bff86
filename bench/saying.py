"""NATS' own work on one message, by who says it: a user that may say few things, or one that may say all."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from agents import first_in, invited, running_callout
from fleet import SERVER, Fleet
from floor import PUSH_BYTES
from load import counting
from nats.aio.client import Client
from stack import UNLIMITED, UNLIMITED_AGENT, Stack

from workspaced.bus import jetstream
from workspaced.bus.connection import open_connection
from workspaced.bus.streams import CHATS, EVENTS

MESSAGES, TIMES, AT_ONCE = 4_000, 5, 500


@dataclass(frozen=True)
class Speech:
    """What a client says to a stream, whose answers come back to it."""

    client: Client
    inbox: str
    subjects: Sequence[str]
    body: bytes

    async def say(self, count: int) -> None:
        """So many messages; returns when the stream has answered all of them."""
        async with counting(self.client, self.inbox, count):
            for number, subject in enumerate(islice(cycle(self.subjects), count)):
                await self.client.publish(subject, self.body, reply=self.inbox)
                if number % AT_ONCE == 0:
                    await self.client.flush()

    async def took_us(self, stack: Stack) -> float:
        """NATS' processor time for a message; the least of several times."""
        took = []
        for _ in range(TIMES):
            before = _ran_us(stack.servers.nats.pid)
            await self.say(MESSAGES)
            took.append((_ran_us(stack.servers.nats.pid) - before) / MESSAGES)
        return min(took)


@asynccontextmanager
async def speeches(stack: Stack, fleet: Fleet) -> AsyncIterator[dict[str, Speech]]:
    """An agent's reports and an engine's pushes, by who says them; they are gone afterwards. No engine may run.

    The agent was let in by the callout. `unlimited_agent` is in its account, `unlimited` in the engine's.
    """
    (agent,) = await invited(stack, 1)
    reports = [f"ws.event.{agent.workspace}.agent.{agent.id}.lifecycle"]
    report = json.dumps({"id": "bench", "server_id": SERVER, "client_id": 1, "state": "ready"}).encode()
    pushes, push = [f"ws.chat.{member.chat}.ready" for member in fleet.members], b" " * PUSH_BYTES
    async with running_callout(stack):
        own = await first_in(stack, agent)
        engine, unlimited, other = [await _client(stack, role) for role in ("engine", UNLIMITED, UNLIMITED_AGENT)]
        found = {
            "report_checked": Speech(own, f"_INBOX_{agent.id}.bench", reports, report),
            "report_believed": Speech(other, "_INBOX.bench", reports, report),
            "report_same_account": Speech(unlimited, "_INBOX.bench", reports, report),
            "push_checked": Speech(engine, "_INBOX_engine.bench", pushes, push),
            "push_believed": Speech(unlimited, "_INBOX.bench", pushes, push),
        }
        for speech in found.values():
            await speech.say(MESSAGES)  # the server keeps what it found out about the first ones
        yield found
        for client in (own, engine, unlimited, other):
            await client.close()
    for stream in (EVENTS, CHATS):
        await jetstream.request(stack.admin, f"STREAM.PURGE.{stream}")


async def _client(stack: Stack, name: str) -> Client:
    nats, role = stack.servers.nats, stack.servers.nats.roles[name]
    return await open_connection(nats.url, user=role.user, password=role.password, inbox_prefix=role.inbox_prefix)


def _ran_us(pid: int) -> float:
    """Processor time of all threads, by a finer clock than that of `usage.cpu_s`, which counts in 10 ms."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e3
