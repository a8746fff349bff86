"""The store on Postgres; what the methods do is told in `port.py`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from workspaced.fsm.effects import ChatDeadline, SetTimer, WorkspaceExpiry
from workspaced.fsm.facts import Agent, Build
from workspaced.fsm.rows import Loaded, Needs, Queued, StaleRow, TransitionRow, Turns
from workspaced.fsm.state import State
from workspaced.fsm.template import Template
from workspaced.store import catalogue
from workspaced.store.batch import PostgresBatch, load, queue
from workspaced.store.errors import StoreAway
from workspaced.store.migrations import check_schema
from workspaced.store.pages import chat_page, cut, facts_of, workspace_page
from workspaced.store.pool import open_pool
from workspaced.store.port import SAMPLES, ChatPage, WorkspacePage
from workspaced.store.queries import query
from workspaced.store.refusals import in_our_words
from workspaced.store.rowset import loaded_from, rows_from, rows_json

if TYPE_CHECKING:
    from workspaced.store.pool import Pool

STREAMED_ROWS = 1000
"""How many rows an iterator fetches at a time."""

PRUNE_SECONDS = 86_400
"""How long `prune` may take; other statements have `pool.STATEMENT_SECONDS`."""


class PostgresStore:
    """Opens with a DSN; after an Unavailable the pool recovers by itself.

    Behind pgbouncer in transaction mode give `statement_cache_size=0`.
    """

    pool: "Pool"

    def __init__(self, dsn: str, *, pool_size: int = 10, statement_cache_size: int = 100) -> None:
        self._dsn = dsn
        self._pool_size = pool_size
        self._statement_cache_size = statement_cache_size

    async def open(self) -> None:
        """Connect; Unavailable says why it cannot."""
        self.pool = await open_pool(self._dsn, size=self._pool_size, statement_cache_size=self._statement_cache_size)

    async def close(self) -> None:
        """Wait for what is running, then disconnect."""
        await self.pool.close()

    async def ping(self) -> None:
        """One round trip."""
        with in_our_words():
            writes = await self.pool.fetchval(query("ping"))
        if not writes:
            raise StoreAway("read_only")

    async def renew(self) -> None:
        """A session that may not write, or whose link is dead, stays so for its life."""
        await self.pool.expire_connections()

    async def check_schema(self) -> None:
        """Raise SchemaRefused unless the schema is the one this version works with."""
        await check_schema(self.pool)

    def batch(self, needs: Needs) -> PostgresBatch:
        """BEGIN, lock, load, write, COMMIT."""
        return PostgresBatch(self.pool, needs)

    async def read(self, needs: Needs) -> Loaded:
        """One statement, so one snapshot."""
        with in_our_words():
            async with self.pool.acquire() as connection:
                return await load(connection, needs)

    async def chats(
        self,
        *,
        state: State | None = None,
        owner_id: str | None = None,
        template_id: str | None = None,
        organization_id: str | None = None,
        unbound: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> ChatPage:
        """One statement; the primary key is the cursor."""
        row = await self._look("chats", state, owner_id, template_id, organization_id, unbound, after, limit + 1)
        rows = loaded_from(row)
        return chat_page(rows.chats, facts_of(rows.workspaces, rows.builds, rows.agents), limit)

    async def workspaces(
        self,
        *,
        owner_id: str | None = None,
        template_id: str | None = None,
        organization_id: str | None = None,
        unbound: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> WorkspacePage:
        """One statement; the primary key is the cursor."""
        row = await self._look("workspaces", owner_id, template_id, organization_id, unbound, after, limit + 1)
        rows = loaded_from(row)
        facts = facts_of(rows.workspaces, rows.builds, rows.agents)
        return workspace_page([facts[row.id] for row in rows.workspaces], rows.chats, limit)

    async def organization_of(self, build_id: str) -> str | None:
        """By primary keys."""
        with in_our_words():
            found = await self.pool.fetchval(query("organization_of"), build_id)
        return str(found) if found else None

    async def history(
        self, chat_id: str, after_version: int = 0, limit: int = 100
    ) -> tuple[list[TransitionRow], int | None]:
        """A range of the primary key."""
        with in_our_words():
            text = await self.pool.fetchval(query("history"), chat_id, after_version, limit + 1)
        page, last = cut(rows_from(text, list[TransitionRow]), limit)
        return list(page), last.version if last else None

    async def stale_of(self, chat_id: str, limit: int = 100) -> list[StaleRow]:
        """The end of an index, read backwards."""
        with in_our_words():
            text = await self.pool.fetchval(query("stale_of"), chat_id, limit)
        return rows_from(text, list[StaleRow])

    async def put_template(self, template: Template, version_id: str) -> Template:
        """Compare under the template's lock, then write template and version in one statement."""
        with in_our_words():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.fetch(query("lock_template"), template.id)
                text = await connection.fetchval(query("template"), template.id)
                stored = rows_from(text, Template) if text else None
                put, version = catalogue.as_put(template, stored, version_id)
                try:
                    await connection.execute(
                        query("put_template"), rows_json([put]), rows_json([version] if version else [])
                    )
                except asyncpg.UniqueViolationError as error:
                    if error.constraint_name == "templates_name":
                        raise catalogue.name_taken(template) from None
                    raise
        return put

    async def template(self, template_id: str) -> Template | None:
        """By primary key."""
        with in_our_words():
            text = await self.pool.fetchval(query("template"), template_id)
        return rows_from(text, Template) if text else None

    async def templates(
        self,
        *,
        organization_id: str | None = None,
        query: str = "",
        page: int = 1,
        page_size: int = 10,
        include_hidden: bool = False,
    ) -> tuple[list[tuple[Template, int]], int]:
        """Counts the owners of live workspaces each time; templates are few."""
        skip = (max(page, 1) - 1) * page_size
        row = await self._look("templates", organization_id, query, include_hidden, skip, page_size)
        return rows_from(row["templates"], list[tuple[Template, int]]), row["total_count"]

    async def delete_template(self, template_id: str) -> None:
        """Under the template's lock, which batches that create from it share."""
        with in_our_words():
            async with self.pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(query("lock_template"), template_id)
                if row is None or row["deleted"]:
                    raise catalogue.unknown()
                # A statement of its own: it sees what was committed while the lock was waited for.
                if not await connection.fetch(query("delete_template"), template_id):
                    raise catalogue.in_use()

    async def settings(self) -> dict[str, str]:
        """All of them."""
        with in_our_words():
            return {row["name"]: row["text"] for row in await self.pool.fetch(query("settings"))}

    async def put_settings(self, texts: dict[str, str]) -> None:
        """One statement."""
        with in_our_words():
            await self.pool.execute(query("put_settings"), list(texts), list(texts.values()))

    async def timers(self, only_overdue_at: datetime | None = None) -> AsyncGenerator[SetTimer, None]:
        """Both kinds by their partial indexes."""
        async with aclosing(self._stream("timers", only_overdue_at)) as rows:
            async for row in rows:
                if row["kind"] == "chat":
                    yield SetTimer(row["at"], ChatDeadline(row["id"], row["version"]))
                else:
                    yield SetTimer(row["at"], WorkspaceExpiry(row["id"], row["at"]))

    async def unfinished_builds(
        self, *, requested_by: datetime | None = None, started_by: datetime | None = None
    ) -> AsyncGenerator[Build, None]:
        """The partial index that forbids a second one."""
        async with aclosing(self._stream("unfinished_builds", requested_by, started_by)) as rows:
            async for row in rows:
                yield rows_from(row["row"], Build)

    async def queue(self, turns: Turns) -> list[Queued]:
        """One statement."""
        with in_our_words():
            async with self.pool.acquire() as connection:
                return await queue(connection, turns)

    async def queue_length(self) -> int:
        """The partial index of unfinished builds."""
        with in_our_words():
            return int(await self.pool.fetchval(query("queue_length")))

    async def connected_agents(self) -> AsyncGenerator[Agent, None]:
        """All of them."""
        async with aclosing(self._stream("connected_agents")) as rows:
            async for row in rows:
                yield rows_from(row["row"], Agent)

    async def typical_samples(self) -> list[tuple[str, State, list[int]]]:
        """A bounded number of index entries."""
        with in_our_words():
            rows = await self.pool.fetch(query("typical_samples"), list(State), SAMPLES)
        return [(row["template_id"], State(row["state"]), row["took_ms"]) for row in rows]

    async def marks(self) -> dict[str, str]:
        """All of them."""
        with in_our_words():
            return {row["name"]: row["text"] for row in await self.pool.fetch(query("marks"))}

    async def put_mark(self, name: str, text: str) -> None:
        """One statement."""
        with in_our_words():
            await self.pool.execute(query("put_mark"), name, text)

    async def known_inputs(self, keys: list[str]) -> set[str]:
        """Those of the input keys that left a row."""
        with in_our_words():
            return {row["key"] for row in await self.pool.fetch(query("known_inputs"), keys)}

    async def prune(self, before: datetime) -> int:
        """One statement, with time enough for a first run."""
        with in_our_words():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.fetch(query("plan_freely"))
                return int(await connection.fetchval(query("prune"), before, timeout=PRUNE_SECONDS))

    async def _look(self, name: str, *arguments: object) -> asyncpg.Record:
        """The one row of a query that is planned anew for its arguments."""
        with in_our_words():
            async with self.pool.acquire() as connection, connection.transaction(readonly=True):
                await connection.fetch(query("plan_freely"))
                (row,) = await connection.fetch(query(name), *arguments)
                return row

    async def _stream(self, name: str, *arguments: object) -> AsyncGenerator[asyncpg.Record, None]:
        """Rows by a cursor, in the planner's own way."""
        with in_our_words():
            async with self.pool.acquire() as connection, connection.transaction(readonly=True):
                await connection.fetch(query("plan_freely"))
                async for row in connection.cursor(query(name), *arguments, prefetch=STREAMED_ROWS):
                    yield row
