"""A played engine, and clients that ask it."""

from collections.abc import AsyncIterator

import pytest

from tests.chat_engine import Engine, a_client
from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus.chat_client import WorkspacedClient


@pytest.fixture
async def engine(connect: Connections) -> AsyncIterator[Engine]:
    """A running one."""
    engine = Engine(connect)
    await engine.start()
    yield engine
    await engine.service.stop()


@pytest.fixture
async def client(nats: NatsServer, engine: Engine) -> AsyncIterator[WorkspacedClient]:  # noqa: ARG001  # must run
    """A chat daemon's client."""
    async with await a_client(nats) as client:
        yield client


@pytest.fixture
async def as_admin(nats: NatsServer, engine: Engine) -> AsyncIterator[WorkspacedClient]:  # noqa: ARG001  # must run
    """An administrator's client."""
    async with await a_client(nats, "admin") as client:
        yield client
