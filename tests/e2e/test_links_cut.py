"""Links to NATS that are cut, or half open: the server is gone, and nobody tells."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.e2e.provisioner import an_agent
from tests.e2e.proxy import Proxy, proxied
from tests.e2e.stack import LIMIT, Stack
from workspaced.bus import connection
from workspaced.bus.agent_client import AgentClient
from workspaced.fsm.state import State

SAFETY = timedelta(seconds=LIMIT)


@pytest.fixture
def ack_wait() -> timedelta:
    """Short: what went into a dead link comes again after that."""
    return timedelta(seconds=1)


@pytest.fixture
async def link(stack: Stack) -> AsyncIterator[Proxy]:
    """A way to the server that may be broken."""
    server = urlsplit(stack.server.url)
    assert server.port
    async with proxied((str(server.hostname), server.port)) as proxy:
        yield proxy


def at(link: Proxy) -> str:
    """NATS by way of the link."""
    return f"nats://127.0.0.1:{link.port}"


@pytest.mark.parametrize("silent", [False, True], ids=["cut", "half open"])
async def test_the_engine_s_link(stack: Stack, link: Proxy, monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    """It is noticed though nobody says so; then the engine is back, and what was told meanwhile counts."""
    monkeypatch.setattr(connection, "PING_INTERVAL", timedelta(milliseconds=200))
    await stack.engine(at=at(link))
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)

    if silent:
        link.stall()
    else:
        link.cut()
    await stack.provisioner.bring_up(job)
    await stack.pushes.until(chat, "ready")

    assert link.accepted > 1


async def test_an_agent_s_link(stack: Stack, link: Proxy) -> None:
    """An agent whose link swallows everything notices it too, and comes back as another connection."""
    await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    who = stack.server.roles["agent"]
    agent = AgentClient(job["workspace"]["id"], str(uuid4()), job["build_id"])
    await agent.connect(
        at(link), user=who.user, password=who.password, inbox_prefix=who.inbox_prefix, ping_interval=0.2
    )
    agent.lifecycle("ready")
    await stack.provisioner.tell(job, "running", worker="tests")
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.agent_id)])
    await stack.client.wait_until(chat, {State.READY}, SAFETY)
    before, version = agent.connection, (await stack.client.get(chat)).version

    link.stall()
    await stack.pushes.until(chat, "connecting", after=version)
    healed = await stack.pushes.until(chat, "ready", after=version)
    after = agent.connection
    await agent.close()

    assert before != after
    assert healed["cause"]["event"] == "agent.connected"
