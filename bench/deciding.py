"""An engine's own work on one message, without servers: decode it, decide it, make what is to be said."""

import json
import time
import timeit
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from believing import believing
from fleet import Fleet, Member, new_id

from workspaced.app.batch import decode_all
from workspaced.app.clock import RandomIds, utc_now
from workspaced.bus.announce import effect_message, messages_of
from workspaced.bus.headers import ORGANIZATION, REPLY
from workspaced.bus.stored import Stored
from workspaced.fsm.apply import apply
from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import Build
from workspaced.fsm.needs import needs_of
from workspaced.fsm.rows import Loaded, Needs
from workspaced.fsm.settings import Settings
from workspaced.fsm.world import World
from workspaced.store.postgres import PostgresStore

MEMBERS, TIMES = 64, 15
KINDS = ("report", "job", "command")
"""An agent's report, a provisioner's under its tag, and a command of who is limited to an organization."""


@dataclass(frozen=True)
class Heard:
    """Messages of one kind, and the rows that they concern."""

    batch: list[Stored]
    loaded: Loaded

    def decide(self) -> None:
        """All of them, in one batch, as `Decider` and `Engine` do."""
        inputs, _ = decode_all(self.batch)
        world = World(self.loaded, utc_now(), RandomIds(), Settings())
        for item in inputs:
            apply(world, item)
        world.changes()
        messages_of(world.said.transitions)
        for effect in world.said.effects:
            effect_message(effect, world.said.at)

    def took_us(self, *, believe: bool) -> float:
        """Processor time for each message; the least of several times."""
        with believing() if believe else nullcontext():
            return (
                min(timeit.repeat(self.decide, timer=time.process_time, number=1, repeat=TIMES)) / len(self.batch) * 1e6
            )


async def heard(dsn: str, fleet: Fleet) -> dict[str, Heard]:
    """Messages of each kind."""
    members = fleet.members[:MEMBERS]
    store = PostgresStore(dsn, pool_size=1)
    await store.open()
    known = await store.read(Needs(chats=tuple(sorted(member.chat for member in members))))
    chats, builds = {chat.id: chat for chat in known.chats}, {build.workspace_id: build for build in known.builds}
    made: dict[str, Callable[[Member], Stored]] = {
        "report": report,
        "job": lambda member: _job(builds[member.workspace]),
        "command": lambda member: _command(chats[member.chat]),
    }
    found = {}
    for kind in KINDS:
        batch = [made[kind](member) for _ in range(2) for member in members]  # a pair: then they are what they were
        inputs, dead = decode_all(batch)
        if dead:
            raise RuntimeError(dead)
        found[kind] = Heard(batch, await store.read(needs_of(inputs, Settings())))
    await store.close()
    return found


def report(member: Member) -> Stored:
    """The next report of a member's agent."""
    subject, body, _ = member.flip()
    return _stored(subject, body)


def _job(build: Build) -> Stored:
    told = {"build_id": build.id, "build_number": build.build_number, "job_id": build.job_id, "worker": "bench"}
    return _stored(f"ws.event.{build.workspace_id}.job.running.{build.provisioner}", json.dumps(told).encode())


def _command(chat: Chat) -> Stored:
    body = {"chat_id": chat.id, "request_id": new_id(), "actor_id": chat.owner_id}
    headers = {ORGANIZATION: chat.organization_id, REPLY: "_INBOX_engine.bench"}
    return _stored(f"ws.cmd.{chat.id}.touch", json.dumps(body).encode(), headers)


def _stored(subject: str, body: bytes, headers: dict[str, str] | None = None) -> Stored:
    return Stored(subject, body, headers or {}, "EVENTS", next(_sequence), datetime.now(UTC))


_sequence = count(1)
