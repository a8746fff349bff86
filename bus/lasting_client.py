"""A NATS client that ends when it is closed, and hears of servers that go."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from nats.aio.client import DEFAULT_BUFFER_SIZE, Client, Srv
from nats.aio.transport import TcpTransport
from nats.errors import Error, UnexpectedEOF
from nats.protocol.parser import PERMISSIONS_ERR, PING_OP, STALE_CONNECTION

from workspaced.bus.forgiving import ForgivingClient
from workspaced.bus.refusals import Refusals

AGAIN: Final = 0.1
"""Seconds between two cancels of what does not heed the first."""


async def end(task: "asyncio.Task[Any]") -> None:
    """Tell a task to end until it has, whatever it ends by.

    Once is not enough for what the library does: it waits with `asyncio.wait_for`, which before Python 3.12 forgets a
    cancel that comes together with what is waited for, and tries to connect for ever then.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio complains


class _Transport(TcpTransport):
    """The library reads lines only until its first PONG, and takes a PING before that for the end of the connection.

    A server sends one after two seconds to whoever still waits for the callout's answer.
    """

    async def readline(self) -> bytes:
        while True:
            line: bytes = await super().readline()  # type: ignore[no-untyped-call]  # nats-py's
            if not line.startswith(PING_OP):
                return line


class LastingClient(ForgivingClient):
    """A connection is there or is tried for until it is closed, and its end is told: the library has other ends.

    It gives up for good when the server ends a connection with an error, of a login that ran out for example; it fails
    to send what is left when it closes and stops half-way, without a word to `closed_cb`; and it takes a connection
    that breaks before its first PONG for one that is there, on which nothing is ever sent.

    And it says when a server of the cluster has gone, which nobody else does: the library's callbacks tell of servers
    that join or are to end in peace, `$SYS.SERVER.*.SHUTDOWN` is not said by one that is killed, and its missing STATSZ
    would be a poll. The other servers' INFO lines name who is left at once; only a private method of the library sees
    them. Should a later one call it no more, `test_server_gone` fails.
    """

    _urls: frozenset[str] = frozenset()

    def __init__(self, on_server_gone: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.refusals = Refusals()
        self._on_server_gone = on_server_gone

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002  # as the library has it
        await super()._process_info(info, initial_connection)
        before, self._urls = self._urls, frozenset(info.get("connect_urls") or ())
        if not initial_connection and before - self._urls and self._on_server_gone is not None:
            self._on_server_gone()

    async def _process_err(self, err_msg: str) -> None:
        if STALE_CONNECTION in err_msg or PERMISSIONS_ERR in err_msg:
            await super()._process_err(err_msg)
            return
        error = Error(f"nats: {err_msg}")
        await self._error_cb(error)
        await self._process_op_err(error)

    async def _connect_to_server(self, s: Srv) -> None:
        if s.uri.scheme in {"ws", "wss"}:
            await super()._connect_to_server(s)
            return
        s.last_attempt = time.monotonic()
        self._transport = self._transport or _Transport()  # type: ignore[no-untyped-call]  # nats-py's
        await self._transport.connect(s.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        if not self.is_connected:
            for task in (self._reading_task, self._ping_interval_task, self._flusher_task):
                if task is not None:
                    task.cancel()
            raise UnexpectedEOF  # as any other attempt that failed: it is told, and tried again

    async def close(self) -> None:
        """Send what can be sent, then let go of everything; nothing tries to connect any more."""
        reconnecting = self._reconnection_task
        if reconnecting is not None and reconnecting is not asyncio.current_task():
            await end(reconnecting)  # the library would tell it to end once, and not look whether it did
        with suppress(AssertionError):  # the library's way to say that it was never connected
            await super().close()

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002  # as the library has it
        try:
            await super()._close(status, do_cbs)
        except (OSError, RuntimeError):  # the second is uvloop's, of a socket that is closed already
            await self._close_again(status, do_cbs)
        except asyncio.CancelledError:
            # Not ours: the library ends a reconnection that waits for the socket's end, which cancels that end for all.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await self._close_again(status, do_cbs)

    async def _close_again(self, status: int, do_cbs: bool) -> None:  # noqa: FBT001  # the same
        """Without the socket, whose end cannot be waited for any more; then it gets to the end."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # nats-py's
            self._transport = None
        self._status = Client.DISCONNECTED
        await super()._close(status, do_cbs)
