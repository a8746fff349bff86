"""What Postgres and asyncpg raise, in our words: again, never, or later."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from workspaced.fsm.errors import VersionConflict, WorkspacedError
from workspaced.store.errors import Cause, RefusedByStore, StoreAway

AGAIN = (
    asyncpg.UniqueViolationError,
    asyncpg.TransactionRollbackError,  # serialization failures and deadlocks
    asyncpg.LockNotAvailableError,
)
NEVER = (
    asyncpg.DataError,  # what the server refuses
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # a text too long for its index
    UnicodeEncodeError,  # half a surrogate pair
)
LATER = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,  # shut down, or the statement was canceled
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.IdleInTransactionSessionTimeoutError,  # we were stopped for a while, and our locks are gone
    asyncpg.ReadOnlySQLTransactionError,  # a standby: the failover is not over
    asyncpg.InvalidAuthorizationSpecificationError,  # a password that is being changed
    asyncpg.InvalidCatalogNameError,
)

_CAUSES: tuple[tuple[type[Exception], Cause], ...] = (
    (asyncpg.TooManyConnectionsError, "out_of_connections"),
    (asyncpg.DiskFullError, "disk_full"),
    (asyncpg.InsufficientResourcesError, "out_of_resources"),
    (asyncpg.ReadOnlySQLTransactionError, "read_only"),
    (asyncpg.TargetServerAttributeNotMatched, "read_only"),  # of several hosts, none takes writes
    (asyncpg.InvalidAuthorizationSpecificationError, "login"),
    (asyncpg.InvalidCatalogNameError, "login"),
    (asyncpg.SyntaxOrAccessError, "schema"),
    (asyncpg.QueryCanceledError, "slow"),
    (TimeoutError, "slow"),
    (ssl.SSLCertVerificationError, "certificate"),
)


def cause_of(error: Exception) -> Cause:
    """Why the store is of no use, by what asyncpg raised."""
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "unreachable")


@contextmanager
def in_our_words() -> Iterator[None]:
    """Turns errors inside the block into VersionConflict, RefusedByStore or StoreAway; others pass as they are."""
    try:
        yield
    except WorkspacedError:
        raise
    except AGAIN as error:
        raise VersionConflict(detail=first_line(error)) from error
    except NEVER as error:
        raise RefusedByStore(detail=first_line(error)) from error
    except LATER as error:
        if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
            # asyncpg's own DataError: a value that it cannot send. It must not look like a lost connection.
            raise RefusedByStore(detail=first_line(error)) from error
        raise StoreAway(cause_of(error)) from error


@contextmanager
def in_a_batch() -> Iterator[None]:
    """As `in_our_words`; a table or a right that is missing is an operator's to mend, and no message's fault."""
    try:
        with in_our_words():
            yield
    except asyncpg.SyntaxOrAccessError as error:
        raise StoreAway(cause_of(error)) from error


def first_line(error: Exception) -> str:
    """What happened, without the row that Postgres shows below."""
    return str(error).partition("\n")[0]
