"""Brings a database's schema up to date, and refuses one that is not what this version works with."""

from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

import asyncpg

from workspaced.store.errors import SchemaRefused
from workspaced.store.pool import Executor, connect
from workspaced.store.queries import query
from workspaced.store.refusals import LATER, first_line, in_our_words

FOLDER = files("workspaced.store") / "sql" / "migrations"


class Migration(NamedTuple):
    """One file `<version>_<name>.sql`; once applied it is never edited."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """What tells an edited file from the one that was applied."""
        return sha256(self.text.encode()).hexdigest()


class Applied(NamedTuple):
    """A row of `workspaced.migrations`."""

    version: int
    name: str
    sha256: str


def known_migrations() -> tuple[Migration, ...]:
    """The migrations of this version, in order."""
    texts = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir() if file.name.endswith(".sql")}
    return tuple(Migration(int(name[:4]), name[5:].removesuffix(".sql"), text) for name, text in sorted(texts.items()))


def pending(known: Iterable[Migration], applied: Iterable[Applied], engines_since: int = 0) -> list[Migration]:
    """Those of `known` that are not applied yet. Raises SchemaRefused for an edited file and for a schema too new.

    Migrations of a later release only add, so this one works on with them (docs/upgrades.md). One that takes something
    away says in the mark `engines_since` which migration an engine must know of to work on.
    """
    known = tuple(known)
    by_version = {row.version: row for row in applied}
    for migration in known:
        row = by_version.pop(migration.version, None)
        if row is not None and row.sha256 != migration.sha256:
            raise SchemaRefused(
                f"migration {migration.version} ({migration.name}) was edited after this database had applied it;"
                " put the original file back and write a new migration"
            )
    if by_version and engines_since > max((migration.version for migration in known), default=0):
        raise SchemaRefused(
            f"the database's schema is at migration {max(by_version)}, newer than this version of workspaced knows;"
            " use a newer workspaced"
        )
    done = {row.version for row in applied}
    return [migration for migration in known if migration.version not in done]


async def migrate(dsn: str, known: tuple[Migration, ...] | None = None) -> list[str]:
    """Applies what is missing, all in one transaction; returns the names of what was applied, in order.

    Any number of runners may race: an advisory lock lets one at a time through. Raises SchemaRefused as `pending`
    does and when a file fails, which leaves nothing behind; Unavailable when the database cannot be reached.
    """
    connection = await connect(dsn)
    try:
        with in_our_words():
            async with connection.transaction():
                await _run(connection, "the schema cannot be made", query("migrations_begin"))
                applied = await _applied(connection)
                since = await _engines_since(connection) if applied else 0
                todo = pending(known_migrations() if known is None else known, applied, since)
                for migration in todo:
                    name = f"migration {migration.version} ({migration.name}) failed, and nothing was applied"
                    await _run(connection, name, migration.text)
                    await connection.execute(
                        query("migrations_note"), migration.version, migration.name, migration.sha256
                    )
    finally:
        await connection.close()
    return [migration.name for migration in todo]


async def check_schema(executor: Executor, known: tuple[Migration, ...] | None = None) -> None:
    """Raises SchemaRefused, with one line that says what to do, unless this release can work on the schema."""
    try:
        with in_our_words():
            applied = await _applied(executor)
            since = await _engines_since(executor)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        raise SchemaRefused("the database has no workspaced schema; run `workspaced migrate`") from None
    if todo := pending(known_migrations() if known is None else known, applied, since):
        raise SchemaRefused(
            f"the database's schema is behind by {len(todo)} ({todo[0].name} is next); run `workspaced migrate`"
        )


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", failure: str, text: str) -> None:
    """Run statements whose failure is the operator's to mend."""
    try:
        await connection.execute(text)
    except LATER:
        raise
    except asyncpg.PostgresError as error:
        raise SchemaRefused(f"{failure}: {first_line(error)}") from error


async def _applied(executor: Executor) -> list[Applied]:
    return [Applied(*row) for row in await executor.fetch(query("migrations_applied"))]


async def _engines_since(executor: Executor) -> int:
    """The newest migration that took something away, which every engine must know of."""
    marks = {row["name"]: row["text"] for row in await executor.fetch(query("marks"))}
    return int(marks.get("engines_since", "0"))
