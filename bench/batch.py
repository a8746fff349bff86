"""Where the time of one batch goes: processor time of each step, in Postgres and in the engine, small and large."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import asyncpg
from deciding import report
from figures import Figures, say
from fleet import Fleet, Member
from sizes import Sizes
from stack import Stack

from workspaced.app.batch import decode_all
from workspaced.app.clock import RandomIds, utc_now
from workspaced.bus.announce import effect_message, messages_of
from workspaced.fsm.apply import apply
from workspaced.fsm.needs import needs_of
from workspaced.fsm.rows import Changes
from workspaced.fsm.settings import Settings
from workspaced.fsm.state import MACHINE_VERSION
from workspaced.fsm.world import World
from workspaced.store.batch import named_by
from workspaced.store.pool import SESSION
from workspaced.store.queries import query
from workspaced.store.rowset import changes_arguments, loaded_from

BATCHES = (1, 256)
TABLES = ("agents", "chats", "transitions")
TIMES, UNTIMED = 40, 5
"""Batches of each size, and how many of them only warm up."""


class Steps:
    """Processor milliseconds of each step, over several batches."""

    def __init__(self, postgres: int) -> None:
        """`postgres` is the process of the session."""
        self._postgres = Path(f"/proc/{postgres}/schedstat")
        self.took: dict[str, list[float]] = {}

    @contextmanager
    def in_postgres(self, step: str) -> Iterator[None]:
        """What the session's process uses meanwhile."""
        with self._noted(step, lambda: int(self._postgres.read_text().split()[0]) / 1e6):
            yield

    @contextmanager
    def here(self, step: str) -> Iterator[None]:
        """What this process uses meanwhile."""
        with self._noted(step, lambda: time.process_time() * 1e3):
            yield

    @contextmanager
    def _noted(self, step: str, clock: Callable[[], float]) -> Iterator[None]:
        began = clock()
        yield
        self.took.setdefault(step, []).append(clock() - began)


async def measure(stack: Stack, fleet: Fleet, _sizes: Sizes) -> Figures:
    """Agents' reports, decided here as an engine does it."""
    await stack.stop_engines()
    connection = await asyncpg.connect(stack.dsn, server_settings=dict(SESSION))
    found: Figures = {}
    for size in BATCHES:
        steps = Steps(await connection.fetchval("select pg_backend_pid()"))
        for _ in range(TIMES):
            await one(connection, fleet.members[:size], steps)
        for step, took in steps.took.items():
            found[f"batch.{step}_ms_{size}"] = median(took[UNTIMED:])
    await connection.close()
    await stack.start_engine()
    for key, took in found.items():
        say(f"  {key}: {took:.3f}")
    return found


async def one(connection: "asyncpg.Connection[asyncpg.Record]", members: Sequence[Member], steps: Steps) -> None:
    """One batch, committed; before that its tables are written one by one, and rolled back."""
    batch = [report(member) for member in members]
    with steps.here("decode"):
        inputs, _ = decode_all(batch)
        needs = needs_of(inputs, Settings())
    await connection.execute("begin")
    with steps.in_postgres("lock"):
        await connection.fetch(query("lock"), *named_by(needs))
    with steps.in_postgres("load"):
        (row,) = await connection.fetch(query("load"), *named_by(needs), needs.keys, [], [])
    with steps.here("read_rows"):
        loaded = loaded_from(row)
    with steps.here("decide"):
        world = World(loaded, utc_now(), RandomIds(), Settings())
        for item in inputs:
            apply(world, item)
        changes = world.changes()
    for table in TABLES:
        await connection.execute("savepoint alone")
        with steps.in_postgres(f"write_{table}"):
            await write(connection, Changes(**{table: getattr(changes, table)}))
        await connection.execute("rollback to savepoint alone")
    with steps.here("make_rows"):
        arguments = changes_arguments(changes, MACHINE_VERSION)
    with steps.in_postgres("write"):
        await connection.fetch(query("write"), *arguments)
    with steps.in_postgres("commit"):
        await connection.execute("commit")
    with steps.here("make_messages"):
        messages_of(world.said.transitions)
        for effect in world.said.effects:
            effect_message(effect, world.said.at)


async def write(connection: "asyncpg.Connection[asyncpg.Record]", changes: Changes) -> None:
    """As `PostgresBatch.write` does."""
    await connection.fetch(query("write"), *changes_arguments(changes, MACHINE_VERSION))
