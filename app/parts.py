"""What an engine process is made of, each part with what it needs."""

from importlib.metadata import version

from nats.aio.client import Client

from workspaced.app.api import Api
from workspaced.app.batch import Decider
from workspaced.app.catalogue import Catalogue
from workspaced.app.clock import RandomIds, utc_now
from workspaced.app.config import ServeConfig
from workspaced.app.engine import Engine
from workspaced.app.metrics import Metrics
from workspaced.app.recovery import Recovery
from workspaced.app.settling import Settling
from workspaced.app.store_watch import StoreWatch
from workspaced.app.typical import TypicalTimes
from workspaced.bus.ask import Asker
from workspaced.bus.moments import Moments
from workspaced.bus.publish import Publisher
from workspaced.bus.service import Service
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.store.postgres import PostgresStore


class Parts:
    """Those that need no connection to NATS at once, the others once there is one. Nothing is started."""

    def __init__(self, config: ServeConfig, moments: Moments) -> None:
        self.store = PostgresStore(
            config.database_url, pool_size=config.pool_size, statement_cache_size=config.statement_cache_size
        )
        self.watch = StoreWatch(self.store)
        self.metrics = Metrics()
        self.typical = TypicalTimes()
        self._defaults, self._ids, self._moments = config.defaults, RandomIds(), moments
        self._tenants = config.tenants
        self._secrets = AgentSecrets(config.agent_key) if config.agent_key else None

    def recovery(self, connection: Client, publisher: Publisher) -> Recovery:
        """What is made good at start."""
        return Recovery(
            connection,
            self.store,
            publisher,
            clock=utc_now,
            ids=self._ids,
            defaults=self._defaults,
            secrets=self._secrets,
        )

    def engine(self, connection: Client, publisher: Publisher, settling: Settling) -> Engine:
        """What works off the inputs."""
        decider = Decider(
            self.store,
            self.watch,
            clock=utc_now,
            ids=self._ids,
            defaults=self._defaults,
            typical=self.typical,
            metrics=self.metrics,
            moments=self._moments,
            secrets=self._secrets,
        )
        return Engine(
            connection,
            decider,
            publisher,
            self.metrics,
            self._moments,
            settling.heard_of,
            self._secrets,
            tenants=self._tenants,
        )

    def service(self, connection: Client, publisher: Publisher, asker: Asker) -> Service:
        """What answers requests."""
        catalogue = Catalogue(connection, self.store, publisher, clock=utc_now, ids=self._ids, defaults=self._defaults)
        api = Api(
            connection,
            self.store,
            self.watch,
            asker,
            catalogue,
            clock=utc_now,
            defaults=self._defaults,
            typical=self.typical,
        )
        return Service(
            connection,
            api.handlers(),
            version("workspaced"),
            tenant_handlers=api.tenant_handlers(),
            observe=self.metrics.request,
        )
