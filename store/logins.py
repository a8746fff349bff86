"""Who of the agents is let in, and whom to turn out: the auth callout's side of the store."""

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from workspaced.fsm.merge_agent import MOST_UNANNOUNCED
from workspaced.fsm.values import Connection
from workspaced.store.migrations import check_schema
from workspaced.store.pool import open_pool
from workspaced.store.queries import query
from workspaced.store.refusals import in_our_words

if TYPE_CHECKING:
    import asyncpg

    from workspaced.store.pool import Pool

NOBODY: Final = "00000000-0000-0000-0000-000000000000"
"""No build, and no agent."""


class Admission(Struct, frozen=True):
    """An agent that was let in."""

    workspace_id: str
    former: tuple[Connection, ...]
    """Its connections before this one; an agent has one."""


class Logins:
    """Logins in Postgres. Any method raises Unavailable while it is away."""

    pool: "Pool"

    def __init__(self, dsn: str, *, pool_size: int = 4, statement_cache_size: int = 100) -> None:
        self._dsn, self._size, self._cache = dsn, pool_size, statement_cache_size

    async def open(self) -> None:
        """Connect, and see that the schema is the one this version works with. Raises SchemaRefused."""
        self.pool = await open_pool(self._dsn, size=self._size, statement_cache_size=self._cache)
        await check_schema(self.pool)
        # A connection takes 10 ms to make and its first statement as long to plan: no login is to wait for that.
        await asyncio.gather(*(self._note(NOBODY, "", NOBODY, ("", 0)) for _ in range(self._size)))

    async def close(self) -> None:
        """Let what is running end."""
        await self.pool.close()

    async def admit(self, build_id: str, secret_hash: str, agent_id: str, connection: Connection) -> Admission | None:
        """Note a login of the latest build's agent; None when it may not come in. One statement, which takes no lock.

        A newer build that is committed while it runs is not seen, and may not have seen the login either: whoever hears
        of a revocation meanwhile must look whether the connection is among the `revoked`.
        """
        row = await self._note(build_id, secret_hash, agent_id, connection)
        if row is None:
            return None
        return Admission(row["workspace_id"], msgspec.json.decode(row["former"], type=tuple[Connection, ...]))

    async def _note(
        self, build_id: str, secret_hash: str, agent_id: str, connection: Connection
    ) -> "asyncpg.Record | None":
        with in_our_words():
            return await self.pool.fetchrow(
                query("admit"), build_id, secret_hash, agent_id, *connection, MOST_UNANNOUNCED
            )

    async def revoked(self, workspace_id: str | None = None) -> list[Connection]:
        """Connections of agents of builds that are not the latest; of one workspace, or of all."""
        with in_our_words():
            if workspace_id is None:
                rows = await self.pool.fetch(query("all_revoked_logins"))
            else:
                rows = await self.pool.fetch(query("revoked_logins"), workspace_id)
        return [(row["server_id"], row["client_id"]) for row in rows]

    async def forget(self, connections: list[Connection]) -> None:
        """Connections that are gone for good."""
        with in_our_words():
            await self.pool.execute(
                query("forget_logins"), [server for server, _ in connections], [client for _, client in connections]
            )
