"""What an audit reads from Postgres: rows that break an invariant, found where the rows are.

What the streams hold is noted in temporary tables of one connection, so that millions of pushes are compared with
millions of transitions by one statement and neither is ever in this process's memory.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from workspaced.store.migrations import check_schema
from workspaced.store.pool import connect
from workspaced.store.queries import query
from workspaced.store.refusals import in_our_words

if TYPE_CHECKING:
    import asyncpg

MOST: Final = 1000
"""Rows that one check returns at most; a place with more faults than that needs no longer list."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

CHECKS: Final = {
    "versions_gap_free": "audit_versions",
    "chain_unbroken": "audit_chain",
    "moves_legal": "audit_moves",
    "input_applied_once": "audit_inputs",
    "history_ends_in_row": "audit_history",
    "one_unfinished_build": "audit_builds",
    "one_workspace_per_create": "audit_creates",
    "no_orphan_workspace": "audit_orphans",
    "deadline_in_row": "audit_deadlines",
    "transition_pushed": "audit_unpushed",
    "push_has_transition": "audit_unfounded_pushes",
    "pending_job_queued": "audit_lost_jobs",
    "queued_job_has_build": "audit_unfounded_jobs",
    "limits_kept": "audit_beyond_limits",
    "queue_moves": "audit_held",
}
"""Invariants that one statement can check, and the query that finds what breaks each."""


class Found(NamedTuple):
    """A row that breaks an invariant: the ids that name it by column, and what is wrong."""

    ids: dict[str, str]
    detail: str


class Waiting(NamedTuple):
    """A chat with a deadline; `set`: its wake-up must be in TIMERS, or have been."""

    chat_id: str
    deadline_version: int
    deadline_at: datetime
    set: bool


class Limited(NamedTuple):
    """What must end by itself: a workspace with a TTL (`at`), or a job that is not over (`status`)."""

    kind: str
    slot: str
    workspace_id: str
    at: datetime | None
    status: str | None


class Record(NamedTuple):
    """What one input did to one chat; `version` 0: nothing, or what it did is no chat's."""

    key: str
    at: datetime
    chat_id: str | None
    version: int
    workspace_id: str | None
    event: str | None
    jobs: str
    """The jobs that it published, a JSON array."""
    looks: bool
    """It had the queue of builds looked at, for their number was limited."""


class Size(NamedTuple):
    """How much there is to look at."""

    chats: int
    waiting: int


class AuditRows:
    """One connection with its notes; make it with `opened`."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def opened(cls, dsn: str) -> AsyncGenerator[Self, None]:
        """Connect, and disconnect after. Raises Unavailable and SchemaRefused."""
        connection = await connect(dsn)
        try:
            await check_schema(connection)
            with in_our_words():
                await connection.execute(query("audit_begin"))
            yield cls(connection)
        finally:
            await connection.close()

    async def note_acknowledged(self, stream: str, created: datetime, sequence: int) -> None:
        """Every input of the stream up to `sequence` is acknowledged."""
        microseconds = (created - _EPOCH) // timedelta(microseconds=1)
        await self._note("audit_acknowledged", [(stream, microseconds, sequence)])

    async def note_pushes(self, pushes: Iterable[tuple[str, int, str]]) -> None:
        """CHATS holds these, (chat id, version, state)."""
        await self._note("audit_pushes", pushes)

    async def note_jobs(self, job_ids: Iterable[str]) -> None:
        """JOBS holds these."""
        await self._note("audit_jobs", [(job_id,) for job_id in job_ids])

    async def noted(self) -> None:
        """All is noted; checks may come."""
        with in_our_words():
            await self._connection.execute(query("audit_noted"))

    async def size(self) -> Size:
        """Counted now."""
        with in_our_words():
            (row,) = await self._connection.fetch(query("audit_size"))
        return Size(row["chats"], row["waiting"])

    async def settings_changed_at(self) -> datetime | None:
        """The last time; None where no setting is stored."""
        with in_our_words():
            changed_at: datetime | None = await self._connection.fetchval(query("audit_settings_changed_at"))
        return changed_at

    @asynccontextmanager
    async def one_moment(self) -> AsyncGenerator[None, None]:
        """All checks inside see the rows of one moment."""
        with in_our_words():
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                await self._connection.fetch(query("plan_freely"))
                yield

    async def find(self, invariant: str, *arguments: object) -> list[Found]:
        """What breaks one of `CHECKS`, at most `MOST`; inside `one_moment`."""
        rows = await self._connection.fetch(query(CHECKS[invariant]), MOST, *arguments)
        return [
            Found(
                {key: str(value) for key, value in row.items() if key != "detail" and value is not None}, row["detail"]
            )
            for row in rows
        ]

    async def waiting(self, after: str | None, limit: int, since: datetime) -> list[Waiting]:
        """A page of the chats that wait, by id."""
        with in_our_words():
            rows = await self._connection.fetch(query("audit_waiting"), after, limit, since)
        return [Waiting(*row) for row in rows]

    async def still_waiting(self, chats: Sequence[Waiting]) -> set[str]:
        """The ids of those whose deadline is the same now."""
        ids, versions = [chat.chat_id for chat in chats], [chat.deadline_version for chat in chats]
        with in_our_words():
            rows = await self._connection.fetch(query("audit_still_waiting"), ids, versions)
        return {row["chat_id"] for row in rows}

    async def limited(self, after: Limited | None, limit: int) -> list[Limited]:
        """A page of what must end by itself, by kind and slot."""
        kind, slot = (after.kind, after.slot) if after else (None, None)
        with in_our_words():
            rows = await self._connection.fetch(query("audit_limits"), kind, slot, limit)
        return [Limited(*row) for row in rows]

    async def in_hand(self, ids: Sequence[str], since: datetime) -> set[str]:
        """Those of `ids` that effects name whose input is not acknowledged."""
        with in_our_words():
            rows = await self._connection.fetch(query("audit_in_hand"), list(ids), since)
        return {row["id"] for row in rows}

    async def records(self, since: datetime) -> list[Record]:
        """What every input since then came to, in the order in which they were decided."""
        with in_our_words():
            return [Record(*row) for row in await self._connection.fetch(query("audit_records"), since)]

    async def _note(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        with in_our_words():
            await self._connection.copy_records_to_table(table, records=rows)
