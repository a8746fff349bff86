"""Two releases on one database: migrations forward while both run, and rows of a machine that one does not know yet."""

import asyncio
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.e2e.stack import Stack
from workspaced.app.audit import audit
from workspaced.app.readiness import FAULTS
from workspaced.store.migrations import Migration, known_migrations, migrate

TABLES = ("chats", "workspaces", "builds", "agents", "transitions", "inputs", "stale", "departures", "templates")
KNOWN = known_migrations()
NEXT = Migration(
    len(KNOWN) + 1,
    "next",
    "".join(f"alter table workspaced.{table} add column note text not null default 'new';" for table in TABLES),
)
"""What a later release does: it adds, and what it adds has a default."""


async def test_side_by_side(stack: Stack) -> None:
    """Chats walk on while the schema moves forward and engines of both releases work, also one that starts anew."""
    old = await stack.engine()
    walking = [asyncio.create_task(stack.ready(str(uuid4()))) for _ in range(20)]
    await asyncio.wait(walking, return_when=asyncio.FIRST_COMPLETED)

    applied = await migrate(stack.dsn, (*KNOWN, NEXT))
    walking += [asyncio.create_task(stack.ready(str(uuid4()))) for _ in range(20)]
    await stack.engine()
    await stack.stop(old)
    await stack.engine()
    await asyncio.gather(*walking)
    await stack.decided()

    assert applied == ["next"]
    assert await audit(stack.dsn, stack.admin, taken_jobs=stack.provisioner.seen) == []
    assert len(await stack.sql("select from workspaced.chats where state = 'ready' and note = 'new'")) == 40


async def test_what_a_later_release_wrote_stays(stack: Stack) -> None:
    """An engine that does not know a column leaves it as it is."""
    await stack.engine()
    chat = str(uuid4())
    await stack.ready(chat)
    await migrate(stack.dsn, (*KNOWN, NEXT))
    await stack.sql("update workspaced.chats set note = 'theirs'")

    await stack.client.stop(chat)

    assert [row["note"] for row in await stack.sql("select note from workspaced.chats where state = 'idle'")] == [
        "theirs"
    ]


class Heard(logging.Handler):
    """Waits for a text in the log."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text, self.event = text, asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Whether this is it."""
        if self._text in record.getMessage():
            self.event.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    """That an engine met a newer machine."""
    heard = Heard("moved by version 2 of the machine")
    logging.getLogger("workspaced").addHandler(heard)
    yield heard
    logging.getLogger("workspaced").removeHandler(heard)


async def test_rows_of_a_newer_machine(stack: Stack, heard: Heard) -> None:
    """This release touches none of them and says so; whoever knows them has the message, and nothing is dead."""
    engine = await stack.engine()
    chat = str(uuid4())
    await stack.ready(chat)
    await stack.sql("alter table workspaced.chats drop constraint chats_state_check")
    await stack.sql("update workspaced.chats set machine_version = 2, state = 'hibernating', agent_id = null")

    await stack.put_command("stop", {"chat_id": chat})
    await heard.event.wait()
    page = await stack.page(engine, "/readyz")
    await stack.stop(engine)
    await stack.sql("update workspaced.chats set machine_version = 1, state = 'failed', failure = $1::jsonb", FAILURE)
    await stack.engine()
    await stack.pushes.until(chat, "idle")

    assert page == (503, f"{FAULTS['store_newer_machine']}\n")
    assert await stack.stored("DEAD") == []


FAILURE = '{"phase": "starting", "code": "startup_failed", "message": "tests", "retryable": true}'
"""What the newer release's migration of its rows might leave."""
