"""An operator's mistake in Postgres is waited out: it is no message's fault."""

from uuid import uuid4

import asyncpg

from tests.e2e.stack import Stack


async def test_a_missing_table_costs_no_message(stack: Stack) -> None:
    """What came meanwhile is done once the table is there again; nothing is put aside."""
    await stack.engine()
    operator = await asyncpg.connect(stack.dsn)
    await operator.execute("alter table workspaced.stale rename to mislaid")
    chat = str(uuid4())

    queued = await stack.create(chat)
    await operator.execute("alter table workspaced.mislaid rename to stale")
    await operator.close()
    await stack.pushes.until(chat, "creating")

    assert queued.outcome == "queued"
    assert (await stack.client.get(chat)).version == 1
    assert (await stack.client.dead()).messages == ()
