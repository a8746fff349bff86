"""One batch on Postgres: BEGIN, lock, load, write, COMMIT, however large it is (design.md section 5)."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from workspaced.fsm.errors import VersionConflict, WorkspacedError
from workspaced.fsm.rows import Changes, Loaded, Needs, Queued, Turns
from workspaced.fsm.state import MACHINE_VERSION
from workspaced.store.errors import StoreAway
from workspaced.store.queries import query
from workspaced.store.refusals import in_a_batch
from workspaced.store.rowset import changes_arguments, loaded_from, rows_from

if TYPE_CHECKING:
    from workspaced.store.pool import Connection, Pool


def named_by(needs: Needs) -> tuple[object, ...]:
    """The arguments of `lock`, which are the first ones of `load`: workspaces, chats, connections, templates."""
    return (
        needs.workspaces,
        needs.chats,
        [server for server, _ in needs.connections],
        [client for _, client in needs.connections],
        needs.templates,
    )


async def load(connection: "Connection", needs: Needs) -> Loaded:
    """All that `needs` names, from one snapshot."""
    chats, requests = [chat for chat, _ in needs.requests], [request for _, request in needs.requests]
    (row,) = await connection.fetch(query("load"), *named_by(needs), needs.keys, chats, requests)
    if (machine_version := row["machine_version"]) > MACHINE_VERSION:  # its states may be none that we know
        raise StoreAway("newer_machine") from WorkspacedError(
            f"chats were moved by version {machine_version} of the machine and this workspaced knows {MACHINE_VERSION}"
        )
    return loaded_from(row)


async def queue(connection: "Connection", turns: Turns) -> list[Queued]:
    """The builds in the queue that `turns` asks for, oldest first."""
    arguments = turns.workspaces, turns.per_owner, turns.per_template, turns.at_once
    return rows_from(await connection.fetchval(query("queue"), *arguments), list[Queued])


class PostgresBatch:
    """A transaction that holds the locks of `needs`; commits on a clean exit, rolls back on an exception."""

    loaded: Loaded

    def __init__(self, pool: "Pool", needs: Needs) -> None:
        self._pool = pool
        self._needs = needs
        self._stack = AsyncExitStack()
        self._failed: WorkspacedError | None = None

    async def __aenter__(self) -> Self:
        with in_a_batch():
            async with AsyncExitStack() as stack:  # a failure in here gives the connection back
                self._connection = await stack.enter_async_context(self._pool.acquire())
                await stack.enter_async_context(self._connection.transaction())
                needs, queued = self._needs, []
                if needs.turns is not None:
                    await self._connection.execute(query("lock_queue"))
                    queued = await queue(self._connection, needs.turns)
                    before = await self._connection.fetch(query("applied_to"), needs.keys)
                    needs = with_workspaces(needs, {row.workspace_id for row in queued} | {row["id"] for row in before})
                (locked,) = await self._connection.fetch(query("lock"), *named_by(needs))
                self.loaded = await load(self._connection, needs)
                self.loaded.queue = queued
                _check_locked(self.loaded, set(locked["workspaces"]), set(locked["chats"]))
                self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with in_a_batch():
            if error is not None:
                await self._stack.__aexit__(kind, error, trace)
            elif self._failed is not None:  # the caller swallowed it; a commit would keep half of what was decided
                await self._stack.__aexit__(type(self._failed), self._failed, None)
                raise self._failed
            else:
                await self._stack.__aexit__(None, None, None)

    async def taken_names(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the (owner id, lower-case name) pairs that a live workspace has and has not given up."""
        owners, wanted = [owner for owner, _ in names], [name for _, name in names]
        with in_a_batch():
            rows = await self._connection.fetch(query("taken_names"), owners, wanted)
        return {(row["owner_id"], row["name"]) for row in rows}

    async def write(self, changes: Changes) -> None:
        """Writes all of it in one statement.

        Raises VersionConflict when a chat was moved by somebody else or a unique key is taken, RefusedByStore when
        a value or a row is not acceptable, Unavailable when the store is away; the transaction is over then.
        """
        try:
            with in_a_batch():
                written = await self._connection.fetchval(query("write"), *changes_arguments(changes, MACHINE_VERSION))
            if written != len(changes.chats):
                missing = len(changes.chats) - written
                raise VersionConflict(detail=f"{missing} of {len(changes.chats)} chats had moved")
        except WorkspacedError as error:
            self._failed = error
            raise


def with_workspaces(needs: Needs, found: set[str]) -> Needs:
    """`needs` and these workspaces."""
    return replace(needs, workspaces=tuple(sorted({*needs.workspaces, *found})))


def _check_locked(loaded: Loaded, workspaces: set[str], chats: set[str]) -> None:
    """Raises VersionConflict for rows that were bound or made while the locks were waited for."""
    late = [row.id for row in loaded.workspaces if row.id not in workspaces]
    late += [row.id for row in loaded.chats if row.id not in chats]
    if late:
        raise VersionConflict(detail=f"bound while waiting for locks: {', '.join(late)}")
