"""`workspaced prune`: history leaves by age, and what is left still holds together."""

import asyncio
from uuid import uuid4

from tests.e2e.by_hand import as_admin
from tests.e2e.stack import Stack
from workspaced.app.audit import audit

OLD = "update workspaced.{0} set {1} = {1} - interval '40 days'"
TIMES = (("transitions", "at"), ("inputs", "at"), ("builds", "requested_at"), ("workspaces", "created_at"))


async def test_what_is_old_goes_and_the_last_transition_stays(stack: Stack) -> None:
    """The chat stands where it stood, its history begins later, and the audit misses nothing."""
    await stack.engine()
    chat = str(uuid4())
    await stack.ready(chat)
    before = await stack.client.get(chat)
    for table, column in TIMES:
        await stack.sql(OLD.format(table, column))

    told = await asyncio.to_thread(as_admin(stack).json, "prune", "720h")
    again = await asyncio.to_thread(as_admin(stack).lines, "prune", "720h")

    history = await stack.client.history(chat)
    assert told["rows"] > 0
    assert again[0].startswith("0 rows from before ")
    assert [each.version for each in history.transitions] == [before.version]
    assert await stack.client.get(chat) == before
    assert await audit(stack.dsn, stack.admin) == []


async def test_nothing_younger_than_the_events_is_forgotten(stack: Stack) -> None:
    """An event that is delivered again must still be known."""
    cli = as_admin(stack)

    young = await asyncio.to_thread(cli.run, "prune", "168h")
    odd = await asyncio.to_thread(cli.run, "prune", "90 days")

    assert (young.returncode, odd.returncode) == (2, 2)
    assert "AGE must be longer than 168h, for which events are kept" in young.stderr
    assert "AGE takes a duration such as 2160h, not '90 days'" in odd.stderr
