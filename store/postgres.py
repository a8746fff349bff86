"""The store on Postgres."""

from typing import TYPE_CHECKING

from workspaced.fsm.rows import Loaded, Needs
from workspaced.store.batch import PostgresBatch, load
from workspaced.store.migrations import check_schema
from workspaced.store.pool import open_pool
from workspaced.store.queries import query
from workspaced.store.refusals import in_our_words

if TYPE_CHECKING:
    from workspaced.store.pool import Pool


class PostgresStore:
    """Opens with a DSN; every method may raise Unavailable, after which the pool recovers by itself.

    Behind pgbouncer in transaction mode give `statement_cache_size=0`.
    """

    def __init__(self, dsn: str, *, pool_size: int = 10, statement_cache_size: int = 100) -> None:
        self._dsn = dsn
        self._pool_size = pool_size
        self._statement_cache_size = statement_cache_size
        self.pool: Pool

    async def open(self) -> None:
        """Connects. Raises Unavailable with the reason."""
        self.pool = await open_pool(self._dsn, size=self._pool_size, statement_cache_size=self._statement_cache_size)

    async def close(self) -> None:
        """Waits for what is running, then disconnects."""
        await self.pool.close()

    async def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with in_our_words():
            await self.pool.fetchval(query("ping"))

    async def check_schema(self) -> None:
        """Raises SchemaRefused unless the schema is the one this version works with."""
        await check_schema(self.pool)

    def batch(self, needs: Needs) -> PostgresBatch:
        """One transaction over what `needs` names; see `port.Store`."""
        return PostgresBatch(self.pool, needs)

    async def read(self, needs: Needs) -> Loaded:
        """What a batch would load, from one snapshot and without locks."""
        with in_our_words():
            async with self.pool.acquire() as connection:
                return await load(connection, needs)
