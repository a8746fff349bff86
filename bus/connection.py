"""Opening a connection that comes back by itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from workspaced.bus.headers import one_line
from workspaced.bus.lasting_client import LastingClient, end
from workspaced.fsm.errors import Unavailable

RECONNECT_WAIT: Final = timedelta(seconds=0.5)
PING_INTERVAL: Final = timedelta(seconds=10)
"""A link that swallows everything is noticed after at most three of these, as the server does (nats.conf)."""
CONNECT_LIMIT: Final = timedelta(seconds=10)

Callback = Callable[[], Awaitable[None]]

_log = logging.getLogger(__name__)


async def open_connection(  # noqa: PLR0913  # all by name, and hardly anybody needs them all
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    inbox_prefix: str = "_INBOX",
    name: str | None = None,
    limit: timedelta = CONNECT_LIMIT,
    on_reconnected: Callback | None = None,
    on_closed: Callback | None = None,
    on_server_gone: Callable[[], None] | None = None,
    **options: Any,  # noqa: ANN401  # nats.connect's own
) -> Client:
    """A connection to NATS at `url`, which is tried for `limit` and then kept for good: it reconnects without end.

    `url` may be those of several servers of a cluster, with commas between; any of them will do. `on_server_gone` hears
    that a server left the cluster, which may have died and announced nothing. `inbox_prefix` is the role's own
    (`_INBOX_chatd`); `options` are those of `nats.connect`, such as `tls` and `nkeys_seed_str`. What the server refuses
    later is logged. Raises Unavailable.
    """
    faults: list[Exception] = []

    async def note(error: Exception) -> None:
        if connection.is_connected:
            connection.refusals.hear(error)
            _log.warning("NATS: %s", one_line(str(error)))  # of the server; what it names, others may have chosen
        elif not (faults and _refused(faults[0])):  # of a refusal one often sees only that the connection was reset
            faults[:] = [error]

    connection = LastingClient(on_server_gone)
    try:
        connecting = connection.connect(
            servers_of(url),
            user=user,
            password=password,
            inbox_prefix=inbox_prefix.encode(),
            name=name,
            error_cb=note,
            reconnected_cb=on_reconnected,
            closed_cb=on_closed,
            **kept(),
            **options,
        )
        await _within(limit, connecting)
    except (NatsError, OSError, TimeoutError) as error:
        await connection.close()
        raise Unavailable(_reason(url, user, faults[0] if faults else error)) from None
    except asyncio.CancelledError:
        await connection.close()  # it may be there by now, and nobody else has it
        raise
    return connection


async def flush(connection: Client) -> None:
    """Return when the server has all that was subscribed or published so far. Raises NatsError, OSError."""
    await asyncio.sleep(0)  # the library sends its PING ahead of what still waits in the client
    await connection.flush()


async def _within(limit: timedelta, work: Coroutine[Any, Any, None]) -> None:
    """Raises what `work` raises, and TimeoutError when the limit is over; then, or when canceled, `work` has ended."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=limit.total_seconds())
        if not task.done():
            raise TimeoutError
        task.result()
    finally:
        await end(task)


def kept() -> dict[str, Any]:
    """What `Client.connect` is told so that it keeps a connection for good and notices a dead link."""
    return {
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_WAIT.total_seconds(),
        "ping_interval": PING_INTERVAL.total_seconds(),
    }


def servers_of(url: str) -> list[str]:
    """The servers that a URL names: one, or several with commas between."""
    return [each.strip() for each in url.split(",") if each.strip()]


def _reason(url: str, user: str | None, fault: Exception) -> str:
    """One line; the password that a URL may hold is not in it."""
    try:
        parts = [urlsplit(each) for each in servers_of(url)]
        where = ", ".join(f"{each.hostname}:{each.port or 4222}" for each in parts)
    except ValueError:
        return "the NATS URL is not one: nats://host:port is expected"
    if _refused(fault):
        return f"NATS at {where} refuses user {user or parts[0].username!r}; check name and password"
    return f"NATS at {where} does not answer: {str(fault) or type(fault).__name__}"


def _refused(fault: Exception) -> bool:
    return "authorization" in str(fault).lower()  # the library has a class for it and does not use it here
