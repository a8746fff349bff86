"""One engine process: connect, check, recover, serve, and end cleanly."""

import asyncio
import logging
from contextlib import AsyncExitStack

from nats.aio.client import Client

from workspaced.app.config import ServeConfig
from workspaced.app.health import HealthServer, Pages
from workspaced.app.pages import EnginePages
from workspaced.app.parts import Parts
from workspaced.app.settling import Settling
from workspaced.app.work import Work
from workspaced.bus.ask import Asker
from workspaced.bus.connection import open_connection
from workspaced.bus.moments import Moments
from workspaced.bus.publish import Publisher
from workspaced.fsm.errors import WorkspacedError

_log = logging.getLogger(__name__)


class Server:
    """An engine process from its start to its end."""

    def __init__(self, config: ServeConfig, moments: Moments | None = None) -> None:
        self._config = config
        self._parts = Parts(config, moments or Moments())
        self._health = HealthServer()
        self._stack = AsyncExitStack()
        self._ending = asyncio.Event()
        self._settling: Settling | None = None
        self._work: Work | None = None

    @property
    def http_url(self) -> str:
        """Where `/readyz` is."""
        return self._health.url

    async def start(self) -> None:
        """Everything answers when this returns. Raises WorkspacedError with one line that says what is wrong."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Not ready any more; take no requests, finish what was taken, let go of everything."""
        self._ending.set()
        try:
            async with asyncio.timeout(self._config.drain_limit.total_seconds()):
                await self._stack.aclose()
        except TimeoutError:  # what is left is not acknowledged, so it comes again
            _log.warning("ended before all was done: the drain limit is over")

    async def failed(self) -> None:
        """Wait until the work ends by itself, which it only does for a fault; that is raised."""
        if self._work is not None:
            await self._work.failed()

    async def _start(self) -> None:
        parts = self._parts
        self._stack.push_async_callback(self._health.stop)  # first in, last out: it tells that we are ending
        await self._open_store()
        connection = await self._connect()
        publisher = Publisher(connection)
        await publisher.start()
        asker = Asker(connection, publisher)
        await asker.start()
        settling = self._settling = Settling(connection, parts.recovery(connection, publisher), self._ending)
        await settling.make_good()
        await parts.typical.load(parts.store)
        engine = parts.engine(connection, publisher, settling)
        work = self._work = Work(connection, engine, settling, self._ending, self._config.batch_cap)
        self._stack.push_async_callback(self._finish, work)
        service = parts.service(connection, publisher, asker)
        await service.start()
        self._stack.push_async_callback(service.stop)
        await self._listen(EnginePages(connection, parts, engine, work, asker, self._ending))

    async def _open_store(self) -> None:
        store = self._parts.store
        await store.open()
        self._stack.push_async_callback(store.close)
        self._stack.push_async_callback(self._parts.watch.close)
        await store.check_schema()

    async def _connect(self) -> Client:
        connection = await open_connection(
            self._config.nats_url,
            name="workspaced-engine",
            on_reconnected=self._reconnected,
            on_server_gone=self._server_gone,
            **self._config.login.options(),
        )
        self._stack.push_async_callback(connection.close)
        return connection

    async def _listen(self, pages: EnginePages) -> None:
        host, port = self._config.http_host, self._config.http_port
        by_path: Pages = {"/livez": pages.livez, "/readyz": pages.readyz, "/metrics": pages.metrics}
        try:
            await self._health.start(host, port, by_path)
        except OSError as error:
            raise WorkspacedError(
                f"cannot listen on port {port}: {error.strerror}; choose another --http-port"
            ) from None

    async def _finish(self, work: Work) -> None:
        self._ending.set()  # also when another part could not start
        await work.finish()

    async def _reconnected(self) -> None:
        if self._work is not None:
            await self._work.reconnected()
        self._server_gone()

    def _server_gone(self) -> None:
        """A server that died announced no disconnects, be it ours or another one of its cluster."""
        if self._settling is not None:
            self._settling.begin()


async def serve(config: ServeConfig, stop: asyncio.Event) -> None:
    """Run an engine until `stop` is set. Raises WorkspacedError when it cannot start."""
    server = Server(config)
    await server.start()
    _log.info("serving; %s/readyz", server.http_url)
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(server.failed())]
    done, open_ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in open_:
        task.cancel()
    await server.stop()
    for task in done:
        task.result()
