"""Connections to Postgres, set up the way every query here expects."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import asyncpg

from workspaced.fsm.errors import Unavailable
from workspaced.store.refusals import LATER, first_line
from workspaced.store.tls_faults import tls_fault

if TYPE_CHECKING:  # generic for type checkers only
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = PoolConnectionProxy[asyncpg.Record]

SESSION = MappingProxyType(
    {
        "application_name": "workspaced",
        "TimeZone": "UTC",  # times in JSON that Postgres makes are in UTC then
        "plan_cache_mode": "force_generic_plan",  # a batch's statements are large to plan and the same every time
        # An engine that is stopped, or whose host is lost, must not keep its locks: the others wait for them.
        "idle_in_transaction_session_timeout": "10s",
        # That counts only between statements. In the midst of one Postgres finds out by the link: from what it sends,
        # and between a statement's preparation and its execution from probes. On a system without such a
        # limit, as macOS, Postgres says so in its log and goes on.
        "tcp_user_timeout": "10s",
        "tcp_keepalives_idle": "10s",
        "tcp_keepalives_interval": "5s",
        "jit": "off",  # compiling takes longer than any query here
        # Every query is a handful of index look-ups. Without these a plan made while tables are empty reads them whole,
        # and stays until the next ANALYZE, when they may hold millions of rows.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }
)
"""Set at connect. Behind pgbouncer they are the role's (docs/operations.md)."""

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 20
"""A server that is silent for longer counts as away. A link that died without a word holds a batch for as long."""


class Executor(Protocol):
    """A pool or a connection."""

    async def fetch(self, query: str, /, *args: object) -> Sequence[asyncpg.Record]:
        """Runs one query."""


async def open_pool(dsn: str, *, size: int, statement_cache_size: int) -> "Pool":
    """A pool of up to `size` connections, one of them made now. Raises Unavailable, with the reason, when none can be.

    It keeps no floor of connections: while the database is away asyncpg would log a traceback for each attempt.
    """
    try:
        return await asyncpg.create_pool(
            dsn,
            init_size=1,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=0,
            statement_cache_size=statement_cache_size,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings=dict(SESSION),
            reset=_nothing_to_reset,
        )
    except (*LATER, ValueError) as error:
        raise unreachable(error, dsn) from error


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection outside any pool, without a limit on statements. Raises Unavailable with the reason."""
    try:
        return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=dict(SESSION))
    except (*LATER, ValueError) as error:
        raise unreachable(error, dsn) from error


def unreachable(error: Exception, dsn: str) -> Unavailable:
    """One line for whoever starts a program; a password is never part of it."""
    reason = tls_fault(error, dsn) or first_line(error) or type(error).__name__
    return Unavailable(f"cannot reach the database: {reason}")


async def _nothing_to_reset(_connection: object) -> None:
    """Spares the round trip of asyncpg's own reset: nothing here leaves anything behind in a session."""
