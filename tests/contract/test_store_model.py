"""The core's model on Postgres: the runs of `test_decide_model`, each batch decided on what the store loads."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.builders import VERSION, a_template
from tests.servers import fresh_database
from tests.step import Step
from tests.store_rows import postgres_store
from tests.unit.test_decide_model import Chats
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.fsm.apply import apply
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.inputs import Input
from workspaced.fsm.needs import names_asked, needs_of
from workspaced.fsm.rows import Changes, Loaded, Needs
from workspaced.fsm.world import World
from workspaced.store.errors import RefusedByStore
from workspaced.store.postgres import PostgresStore

TABLES = "chats, transitions, inputs, stale, departures, agents, builds, workspaces"


class Place:
    """A store, and the loop in which it lives."""

    def __init__(self, runner: asyncio.Runner, store: PostgresStore) -> None:
        self.runner, self.store = runner, store

    def empty(self) -> None:
        """Forget all but the template."""
        tables = ", ".join(f"workspaced.{name.strip()}" for name in TABLES.split(","))
        self.runner.run(self.store.pool.execute(f"truncate {tables} cascade"))

    def read(self, needs: Needs) -> Loaded:
        """What is stored."""
        return self.runner.run(self.store.read(needs))


class StoredChats(Chats):
    """As the model, and every batch goes through Postgres first, which must come to the same rows."""

    place: Place

    def __init__(self) -> None:
        """An empty store."""
        super().__init__()
        self.place.empty()

    def send(self, *items: Input) -> Step | None:
        """Decide on what the store loads, then as the model does; both write the same."""
        try:
            changes = self.place.runner.run(self._stored(items))
        except RefusedByStore:  # an agent of another workspace, which only the store knows; the message is dead
            return None
        except UndecodableMessage:
            changes = None
        step = super().send(*items)
        assert (step and _sorted(step.changes)) == (changes and _sorted(changes))
        return step

    async def _stored(self, items: tuple[Input, ...]) -> Changes:
        async with self.place.store.batch(needs_of(items, self.stage.settings)) as batch:
            world = World(batch.loaded, self.stage.now, copy.deepcopy(self.stage.ids), self.stage.settings)
            if asked := names_asked(world, items):
                world.taken = await batch.taken_names(asked)
            for item in items:
                apply(world, item)
            changes = world.changes()
            await batch.write(changes)
            return changes

    def teardown(self) -> None:
        """In the end the store holds what the model holds."""
        stage = self.stage
        stored = self.place.read(Needs(chats=tuple(sorted(stage.chats)), workspaces=tuple(sorted(stage.workspaces))))
        known = stage.loaded()
        for name in ("chats", "workspaces", "builds", "agents"):
            assert _by_id(getattr(stored, name)) == _by_id(getattr(known, name))


def _plain(rows: object) -> Any:  # noqa: ANN401  # any JSON
    return msgspec.json.decode(msgspec.json.encode(rows))


def _by_id(rows: list[msgspec.Struct]) -> dict[object, object]:
    """As JSON, for times in it are the same whatever their class of zone."""
    return {row["id"]: row for row in _plain(rows)}


def _sorted(changes: Changes) -> dict[str, list[object]]:
    """Rows of one table in any order; the agents of a workspace have none."""
    return {name: sorted(rows, key=str) for name, rows in _plain(changes).items()}


@pytest.fixture
def place(postgres: PostgresServer) -> Iterator[Place]:
    """A database of this test's own, with the template."""
    with asyncio.Runner() as runner:
        database = fresh_database(postgres)
        opened = postgres_store(runner.run(database.__aenter__()), pool_size=1)
        store = runner.run(opened.__aenter__())
        runner.run(store.put_template(a_template(), VERSION))
        yield Place(runner, store)
        runner.run(opened.__aexit__(None, None, None))
        runner.run(database.__aexit__(None, None, None))


def test_the_model_on_postgres(place: Place) -> None:
    """Every invariant holds after any run of inputs, and no row is lost or changed on its way through the database."""

    class Here(StoredChats):
        pass

    Here.place = place
    run_state_machine_as_test(Here, settings=settings(max_examples=12, stateful_step_count=30, deadline=None))
