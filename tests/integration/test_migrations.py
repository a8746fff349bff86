"""Migrations on a real database: once, in order, never edited, never backwards."""

import asyncio
import re

import asyncpg
import pytest

from workspaced.fsm.errors import Unavailable
from workspaced.store.errors import SchemaRefused
from workspaced.store.migrations import Migration, check_schema, known_migrations, migrate

KNOWN = known_migrations()
NEXT = Migration(len(KNOWN) + 1, "next", "create table workspaced.next (id integer)")


async def why_refused(dsn: str, known: tuple[Migration, ...] = KNOWN) -> str:
    """What `check_schema` says about the database."""
    connection = await asyncpg.connect(dsn)
    try:
        with pytest.raises(SchemaRefused) as caught:
            await check_schema(connection, known)
    finally:
        await connection.close()
    return str(caught.value)


def test_migrations_are_numbered_without_gaps() -> None:
    """From 1, in the order of their files."""
    assert [migration.version for migration in KNOWN] == list(range(1, len(KNOWN) + 1))


async def test_four_racing_runners_apply_each_once(database: str) -> None:
    """The advisory lock lets one through at a time."""
    applied = await asyncio.gather(*(migrate(database) for _ in range(4)))

    assert sorted(map(len, applied)) == [0, 0, 0, len(KNOWN)]


async def test_a_current_schema_passes(database: str) -> None:
    """And running again does nothing."""
    await migrate(database)
    connection = await asyncpg.connect(database)
    await check_schema(connection)
    await connection.close()

    assert await migrate(database) == []


async def test_only_what_is_missing_is_applied(database: str) -> None:
    """The next version's migration, on a database of this one."""
    await migrate(database)

    assert await why_refused(database, (*KNOWN, NEXT)) == (
        "the database's schema is behind by 1 (next is next); run `workspaced migrate`"
    )
    assert await migrate(database, (*KNOWN, NEXT)) == ["next"]


async def test_an_edited_file_is_refused(database: str) -> None:
    """By the runner and by the check, and nothing is applied."""
    await migrate(database)
    edited = (KNOWN[0]._replace(text=KNOWN[0].text + "-- edited"), *KNOWN[1:], NEXT)

    with pytest.raises(SchemaRefused, match=r"migration 1 \(schema\) was edited"):
        await migrate(database, edited)

    assert (await why_refused(database, edited)).startswith("migration 1 (schema) was edited after")


async def test_a_newer_schema_that_only_adds_is_worked_on(database: str) -> None:
    """While two releases run side by side, an engine of the older one may start anew."""
    await migrate(database, (*KNOWN, NEXT))
    connection = await asyncpg.connect(database)
    await check_schema(connection)
    await connection.close()

    assert await migrate(database) == []


async def test_a_newer_schema_that_takes_away_is_refused(database: str) -> None:
    """An old program must not work on rows it does not know."""
    since = f"insert into workspaced.marks (name, text) values ('engines_since', '{NEXT.version}')"  # noqa: S608  # a number
    await migrate(database, (*KNOWN, NEXT._replace(text=since)))

    with pytest.raises(SchemaRefused, match="newer than this version"):
        await migrate(database)

    assert await why_refused(database) == (
        f"the database's schema is at migration {NEXT.version}, newer than this version of workspaced knows;"
        " use a newer workspaced"
    )


async def test_a_database_without_schema_is_refused(database: str) -> None:
    """With what to do about it."""
    assert await why_refused(database) == "the database has no workspaced schema; run `workspaced migrate`"


async def test_a_migration_that_fails_leaves_nothing(database: str) -> None:
    """All in one transaction."""
    broken = NEXT._replace(text=NEXT.text + "; select 1/0")

    failure = rf"migration {NEXT.version} \(next\) failed, and nothing was applied: division by zero"
    with pytest.raises(SchemaRefused, match=failure):
        await migrate(database, (*KNOWN, broken))

    assert await why_refused(database) == "the database has no workspaced schema; run `workspaced migrate`"


async def test_a_database_that_cannot_be_reached_is_named_in_one_line(database: str) -> None:
    """A wrong name, and nobody there."""
    with pytest.raises(Unavailable, match='cannot reach the database: database "nobody" does not exist'):
        await migrate(re.sub(r"test_\w+", "nobody", database))

    with pytest.raises(Unavailable, match="cannot reach the database: ") as caught:
        await migrate("postgresql://user:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(Unavailable, match="cannot reach the database: "):
        await migrate("mysql://x:secret@y:port/z")
