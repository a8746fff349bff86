"""Three NATS servers, streams with three copies: any one of them may be killed at any time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from nats.errors import Error as NatsError

from tests.e2e.cluster import SIZE, NatsCluster, OneOf
from tests.e2e.crew import Crew
from tests.e2e.provisioner import Provisioner
from tests.e2e.stack import LIMIT, Stack
from tests.servers import Connections, remove_streams, running
from workspaced.app.audit import audit
from workspaced.bus.jetstream import check, ensure
from workspaced.bus.streams import Limits
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.state import State

CHATS = 12
SAFETY = timedelta(seconds=2 * LIMIT)
"""Streams need some seconds for a new leader, more on a busy machine."""
SOON = timedelta(seconds=3)
"""After it comes again what a dead server had sent and nobody got."""
LIMITS = Limits(replicas=SIZE, ack_wait=SOON, job_lease=SOON)


@pytest.fixture(scope="module")
def servers() -> Iterator[NatsCluster]:
    """One cluster for this file."""
    with running(NatsCluster) as cluster:
        yield cluster


@pytest.fixture
async def cluster(servers: NatsCluster) -> NatsCluster:
    """All three run."""
    await servers.start()
    return servers


async def answered(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until it is answered: while there is no leader, nobody does."""
    async with asyncio.timeout(SAFETY.total_seconds()):
        while True:
            with suppress(Unavailable):
                await ask()
                return


@pytest.fixture
async def connect(cluster: NatsCluster) -> AsyncIterator[Connections]:
    """Clients that know all three servers, on which there is no stream yet."""
    connections = Connections(cluster)
    admin = await connections("admin")
    await answered(lambda: ensure(admin, limits=LIMITS))  # takes until all three have found each other
    await remove_streams(cluster)
    yield connections
    await connections.close()


@pytest.fixture
async def stack(cluster: NatsCluster, connect: Connections, database: str) -> AsyncIterator[Stack]:
    """Everything but an engine."""
    stack = Stack(cluster, connect, database, LIMITS)
    await stack.open(SOON)
    await stack.provisioner.connection.close()  # a crew does the work here
    yield stack
    await stack.close()


@pytest.fixture
async def crew(cluster: NatsCluster, stack: Stack) -> AsyncIterator[Crew]:  # noqa: ARG001  # its streams
    """A provisioner on one server, agents on all of them."""
    crew = Crew([OneOf(cluster, number) for number in range(SIZE)])
    await crew.start()
    yield crew
    await crew.close()


@pytest.mark.usefixtures("crew")
@pytest.mark.parametrize("victim", range(SIZE))
async def test_any_server_dies_while_chats_walk(cluster: NatsCluster, stack: Stack, victim: int) -> None:
    """Engines, provisioner, agents and a client on several servers: every chat gets ready, and nothing is lost."""
    for number in range(2):
        await stack.engine(at=cluster.servers[number].url)
    chats = [str(uuid4()) for _ in range(CHATS)]
    asked = asyncio.gather(*(until_accepted(stack, chat) for chat in chats))
    await stack.pushes.until(chats[0], "building")

    await cluster.servers[victim].kill()
    await asked
    for chat in chats:
        await stack.client.wait_until(chat, {State.READY}, SAFETY)
    await answered(lambda: check(stack.admin))
    await stack.decided()

    assert await audit(stack.dsn, stack.admin) == []


async def until_accepted(stack: Stack, chat: str) -> None:
    """Ask until it is heard, as any daemon does: the same request again and again."""
    await answered(lambda: stack.create(chat, request_id="once"))


async def test_without_a_majority(cluster: NatsCluster, stack: Stack) -> None:
    """One server of three can do nothing, and the engine on it says so; with the second one all goes on."""
    engine = await stack.engine(at=cluster.servers[0].url)
    chat = str(uuid4())

    await asyncio.gather(*(server.kill() for server in cluster.servers[1:]))
    async with asyncio.timeout(SAFETY.total_seconds()):
        while "no messages are taken" not in (await stack.page(engine, "/readyz"))[1]:
            pass
    await cluster.servers[1].start()
    await answered(lambda: stack.create(chat, request_id="once"))
    await stack.client.wait_until(chat, {State.CREATING}, SAFETY)
    async with asyncio.timeout(SAFETY.total_seconds()):
        while (await stack.page(engine, "/readyz"))[0] != 200:
            pass


@pytest.mark.parametrize("victim", [0, 1])
async def test_an_agent_dies_together_with_its_server(cluster: NatsCluster, stack: Stack, victim: int) -> None:
    """Nobody announces it, and it never tells of itself again: the others' connections are known, and its grace runs.

    The engine is at the same server or at another one. The server that comes back is another one.
    """
    await stack.engine(at=cluster.servers[0].url, agent_inactive_grace=SOON)
    agents, others = Connections(OneOf(cluster, victim)), Connections(OneOf(cluster, (victim + 1) % SIZE))
    doomed, sound = [await ready(stack, connections) for connections in (agents, others)]

    await cluster.servers[victim].kill()
    failed = await stack.client.wait_until(doomed, {State.FAILED}, SAFETY)
    await cluster.servers[victim].start()
    await answered(lambda: check(stack.admin))
    await stack.decided()

    assert failed.failure
    assert failed.failure.code == "agent_disconnected"
    assert (await stack.client.get(sound)).state is State.READY
    assert await audit(stack.dsn, stack.admin) == []
    for connections in (agents, others):
        await connections.close()


async def ready(stack: Stack, agents: Connections) -> str:
    """A chat whose agent never tells anything again, even if it comes back elsewhere."""
    provisioner = await Provisioner(await stack.connect("provisioner"), agents).start()
    async with asyncio.timeout(SAFETY.total_seconds()):
        while not await waiting(stack):  # a request that finds no leader is lost
            await provisioner.ask()
    chat = str(uuid4())
    await until_accepted(stack, chat)
    await provisioner.bring_up(await provisioner.job())
    await stack.client.wait_until(chat, {State.READY}, SAFETY)
    await provisioner.connection.close()
    return chat


async def waiting(stack: Stack) -> bool:
    """Whether the queue of jobs has a request."""
    with suppress(NatsError):
        return bool((await stack.admin.jetstream().consumer_info("JOBS", "local")).num_waiting)
    return False
