"""One NATS server and one Postgres per test worker, and what a test needs of them."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.servers import Connections, fresh_database, remove_streams, running, server_with_shared_agent
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer

# A busy machine is no fault of the code: examples have no time limit. CI tries the same examples each time, so that it
# judges a change and not its luck; `make test` tries new ones.
hypothesis.settings.register_profile("unhurried", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder D for servers; not `tmp_path`, whose parents pytest closes to Postgres' system user again and again."""
    with tempfile.TemporaryDirectory(prefix="workspaced-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """The worker's NATS server with the shipped nats.conf and one role more; tests ask for `nats`, without streams."""
    with running(server_with_shared_agent) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The worker's Postgres, fsync on; tests ask for `database`."""
    with running(PostgresServer) as server:
        yield server


@pytest.fixture
async def nats(nats_server: NatsServer) -> NatsServer:
    """The worker's NATS server without any stream."""
    await remove_streams(nats_server)
    return nats_server


@pytest.fixture
async def connect(nats: NatsServer) -> AsyncIterator[Connections]:
    """Call it with a role, and it opens a client of `nats`, which is closed after the test."""
    connections = Connections(nats)
    yield connections
    await connections.close()


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The DSN of an empty database of this test alone."""
    async with fresh_database(postgres) as dsn:
        yield dsn
