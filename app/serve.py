"""One engine process: connect, check, recover, serve, and end cleanly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from nats.aio.client import Client

from workspaced.app.api import Api
from workspaced.app.batch import Decider
from workspaced.app.catalogue import Catalogue
from workspaced.app.clock import RandomIds, utc_now
from workspaced.app.config import ServeConfig
from workspaced.app.engine import Engine
from workspaced.app.health import HealthServer, Page, plain
from workspaced.app.metrics import Metrics
from workspaced.app.readiness import STORE, told
from workspaced.app.recovery import Recovery
from workspaced.app.store_watch import StoreWatch
from workspaced.app.typical import TypicalTimes
from workspaced.bus import streams, subjects
from workspaced.bus.ask import Asker
from workspaced.bus.connection import open_connection
from workspaced.bus.moments import Moments
from workspaced.bus.publish import Publisher
from workspaced.bus.pull import Intake, nak
from workspaced.bus.room import shares_used
from workspaced.bus.service import Service
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.errors import Unavailable, WorkspacedError
from workspaced.store.postgres import PostgresStore

CONSUMERS: Final = ((subjects.EVENTS, subjects.ENGINE), (subjects.TIMERS, subjects.ENGINE))
FIRST_WAIT: Final = timedelta(milliseconds=200)
GIVING_BACK: Final = timedelta(seconds=1)
LONGEST_WAIT: Final = timedelta(seconds=5)
FULL: Final = 0.95
"""Of a stream's limit: the next message may be too much."""
STREAMS_PATIENCE: Final = timedelta(seconds=1)
"""How long a probe waits for the streams' figures."""

_log = logging.getLogger(__name__)


class Server:
    """The parts of one engine process, put together."""

    def __init__(self, config: ServeConfig, moments: Moments | None = None) -> None:
        self._config = config
        self._moments = moments or Moments()
        self._metrics = Metrics()
        self._typical = TypicalTimes()
        self._store = PostgresStore(
            config.database_url, pool_size=config.pool_size, statement_cache_size=config.statement_cache_size
        )
        self._watch = StoreWatch(self._store)
        self._health = HealthServer({"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics_page})
        self._stack = AsyncExitStack()
        self._connection: Client | None = None
        self._engine: Engine | None = None
        self._asker: Asker | None = None
        self._intake: Intake | None = None
        self._recovery: Recovery | None = None
        self._work: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._ending = False

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

    async def _start(self) -> None:
        config = self._config
        self._stack.push_async_callback(self._health.stop)  # first in, last out: it tells that we are ending
        await self._store.open()
        self._stack.push_async_callback(self._store.close)
        self._stack.push_async_callback(self._watch.close)
        await self._store.check_schema()
        connection = await open_connection(
            config.nats_url,
            name="workspaced-engine",
            on_reconnected=self._reconnected,
            on_server_gone=self._server_gone,
            **config.login.options(),
        )
        self._connection = connection
        self._stack.push_async_callback(connection.close)
        epochs = await streams.check(connection)
        await self._typical.load(self._store)
        publisher = Publisher(connection)
        await publisher.start()
        asker = self._asker = Asker(connection, publisher)
        await asker.start()
        ids, secrets = RandomIds(), AgentSecrets(config.agent_key) if config.agent_key else None
        decider = Decider(
            self._store,
            self._watch,
            clock=utc_now,
            ids=ids,
            defaults=config.defaults,
            typical=self._typical,
            metrics=self._metrics,
            moments=self._moments,
            secrets=secrets,
        )
        engine = self._engine = Engine(
            connection, decider, publisher, self._metrics, self._moments, self._heard_of, secrets
        )
        self._recovery = Recovery(
            connection,
            self._store,
            publisher,
            clock=utc_now,
            ids=ids,
            defaults=config.defaults,
            secrets=secrets,
        )
        await self._recovery.make_good(epochs)
        api = Api(
            connection,
            self._store,
            self._watch,
            asker,
            Catalogue(connection, self._store, publisher, clock=utc_now, ids=ids, defaults=config.defaults),
            clock=utc_now,
            defaults=config.defaults,
            typical=self._typical,
        )
        service = Service(connection, api.handlers(), version("workspaced"), observe=self._metrics.request)
        self._work = asyncio.create_task(self._keep_working(engine))
        self._stack.push_async_callback(self._finish)
        await service.start()
        self._stack.push_async_callback(service.stop)
        await self._listen()

    async def stop(self) -> None:
        """Not ready any more; take no requests, finish what was taken, let go of everything."""
        self._ending = True
        try:
            async with asyncio.timeout(self._config.drain_limit.total_seconds()):
                await self._stack.aclose()
        except TimeoutError:  # what is left is not acknowledged, so it comes again
            _log.warning("ended before all was done: the drain limit is over")

    async def failed(self) -> None:
        """Wait until the work ends by itself, which it only does for a fault; that is raised."""
        if self._work is not None:
            await asyncio.shield(self._work)

    async def _listen(self) -> None:
        try:
            await self._health.start(self._config.http_host, self._config.http_port)
        except OSError as error:
            raise WorkspacedError(
                f"cannot listen on port {self._config.http_port}: {error.strerror}; choose another --http-port"
            ) from None

    async def _keep_working(self, engine: Engine) -> None:
        """Take from the streams; when a consumer goes, wait until the streams are there again, perhaps new ones."""
        wait = FIRST_WAIT
        while not self._ending:
            try:
                self._intake = Intake(self._client, CONSUMERS, cap=self._config.batch_cap)
                await self._intake.start()
                await engine.run(self._intake)
            except Unavailable as error:
                _log.warning("not taking messages: %s", error)
                self._intake = None
                await asyncio.sleep(wait.total_seconds())
                if await self._check_again():
                    wait = FIRST_WAIT
                    self._begin_settling(self._settle_late())
                else:
                    wait = min(2 * wait, LONGEST_WAIT)

    async def _check_again(self) -> bool:
        """Whether the streams are there and everything was made good."""
        try:
            epochs = await streams.check(self._client)
            if self._recovery is not None:
                await self._recovery.make_good(epochs)
        except Unavailable as error:
            _log.warning("%s", error)
            return False
        return True

    async def _finish(self) -> None:
        self._ending = True
        if self._intake is not None:
            self._intake.end()
        tasks = [task for task in (self._settling, self._work) if task is not None]
        if self._settling is not None:  # the next engine does it on its start
            self._settling.cancel()
        if self._intake is None and self._work is not None:
            self._work.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:  # the drain limit; they are canceled too and give back what they hold
            await asyncio.wait(tasks, timeout=GIVING_BACK.total_seconds())
            raise

    @property
    def _client(self) -> Client:
        if self._connection is None:
            raise Unavailable
        return self._connection

    async def _reconnected(self) -> None:
        if self._intake is not None:
            await nak(self._client, self._intake.reconnected())
        if not self._ending:
            self._begin_settling(self._settle())

    def _server_gone(self) -> None:
        """A server that died announced no disconnects, and its clients may never come back to tell of themselves."""
        if not self._ending and self._recovery is not None:
            self._begin_settling(self._settle())

    def _begin_settling(self, work: Coroutine[None, None, None]) -> None:
        """Anew, if it was going on: what was asked before may be no longer true."""
        if self._settling is not None:
            self._settling.cancel()
        self._settling = asyncio.create_task(work)

    def _heard_of(self, server_id: str) -> None:
        """A server that was not there when links were settled may stand for one that died and announced nothing."""
        idle = self._settling is None or self._settling.done()
        if idle and not self._ending and self._recovery is not None and not self._recovery.knows(server_id):
            self._settling = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """The server may be another one, and that which died announced nothing; tried until it worked."""
        await _until_done(self._check_again)
        await self._settle_late()

    async def _settle_late(self) -> None:
        if self._recovery is not None:
            await _until_done(_claim(self._recovery.settle_late))

    async def _livez(self) -> Page:
        return plain(200, "alive")

    async def _readyz(self) -> Page:
        await self._watch.look()
        faults = self._faults(await self._shares_used())
        return plain(503, told(faults)) if faults else plain(200, "ready")

    def _faults(self, shares: dict[str, float]) -> dict[str, str]:
        """What is wrong, by the words of `FAULTS`, with what more is known of it."""
        connected = self._client.is_connected
        more = {
            "held_back": self._engine.held_back if self._engine else "",
            "silent": ", ".join(self._intake.silent) if self._intake and connected else "",
            "refused": self._asker.refused if self._asker else "",
        }
        found = {
            "ending": self._ending,
            "nats_away": not connected,
            f"{STORE}{self._watch.cause}": self._watch.away,
            "held_back": bool(more["held_back"]),
            "not_taking": self._intake is None,
            "silent": bool(more["silent"]),
            "refused": bool(more["refused"]),
            "events_full": shares.get(subjects.EVENTS, 0) >= FULL,
        }
        return {word: more.get(word, "") for word, wrong in found.items() if wrong}

    async def _shares_used(self) -> dict[str, float]:
        """How full the streams are; nothing when nobody tells in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAMS_PATIENCE.total_seconds()):
                return await shares_used(self._client) if self._client.is_connected else {}
        return {}

    async def _metrics_page(self) -> Page:
        shares = await self._shares_used()
        self._metrics.store_up.set(not self._watch.away)
        self._metrics.nats_up.set(self._client.is_connected)
        self._metrics.faults(self._faults(shares))
        self._metrics.used(shares)
        if not self._watch.away:
            with suppress(WorkspacedError):  # then the length of before is told, and store_up says why
                self._metrics.queued.set(await self._store.queue_length())
        return 200, self._metrics.text(), "text/plain; version=0.0.4; charset=utf-8"


async def _until_done(attempt: Callable[[], Awaitable[bool]]) -> None:
    wait = FIRST_WAIT
    while not await attempt():
        await asyncio.sleep(wait.total_seconds())
        wait = min(2 * wait, LONGEST_WAIT)


def _claim(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[bool]]:
    """`work` as an attempt: whether it got done."""

    async def attempt() -> bool:
        try:
            await work()
        except Unavailable as error:
            _log.warning("%s", error)
            return False
        return True

    return attempt


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
