"""A TCP proxy that stands for a link: it may be cut, swallow everything without a word, or slow down."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from workspaced.app.embedded_nats import HOST
from workspaced.app.embedded_postgres import SOCKET, PostgresServer

CHUNK = 65_536

Greet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What is said to a client before it is passed on; raises OSError to turn it away."""


class Proxy:
    """Between a client and `target`, a host and port or the path of a unix socket."""

    def __init__(
        self, target: tuple[str, int] | str, *, tls: ssl.SSLContext | None = None, greet: Greet | None = None
    ) -> None:
        """With `tls` the client's side of the link speaks it."""
        self._target, self._tls, self._greet = target, tls, greet
        self._writers: set[asyncio.StreamWriter] = set()
        self._targets: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalled: set[asyncio.Task[None]] = set()
        self.delay = 0.0
        """Seconds each piece takes."""
        self.accepted = 0
        self._server: asyncio.Server
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, HOST, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all links."""
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every link there is."""
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Leave the links there are half open: the server's end is gone, and the client's end swallows everything.

        Links made from now on are sound.
        """
        self._stalled = set(self._tasks)
        for writer in self._targets:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            if self._greet is not None:
                await self._greet(reader, writer)
            if isinstance(self._target, str):
                to = await asyncio.open_unix_connection(self._target)
            else:
                to = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(to[1])
        self._targets.add(to[1])
        for source, sink in ((reader, to[1]), (to[0], writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await asyncio.sleep(self.delay)
                if asyncio.current_task() not in self._stalled:
                    sink.write(data)
                    await sink.drain()
        if asyncio.current_task() not in self._stalled:
            sink.transport.abort()


@asynccontextmanager
async def proxied(
    target: tuple[str, int] | str, *, tls: ssl.SSLContext | None = None, greet: Greet | None = None
) -> AsyncIterator[Proxy]:
    """A proxy to `target` that runs."""
    proxy = Proxy(target, tls=tls, greet=greet)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def way_in(postgres: PostgresServer) -> str:
    """The path of its socket."""
    return f"{parse_qs(urlsplit(postgres.dsn).query)['host'][0]}/{SOCKET}"


def dsn_by(proxy: Proxy, dsn: str) -> str:
    """The same database by way of the proxy."""
    return f"postgresql://postgres@{HOST}:{proxy.port}{urlsplit(dsn).path}"
