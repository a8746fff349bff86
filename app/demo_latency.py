"""How long a published event takes until the chat client holds what follows from it: measured, not told.

Chats of a template whose provisioner is this program; their agents report `starting` and `ready` in turn, and each
report is one transition: decided, committed with fsync, announced.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from workspaced.app.identity import Identity
from workspaced.app.stack import Stack
from workspaced.app.template_names import with_known_ids
from workspaced.bus import subjects
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import open_connection
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentConnected, AgentReport, LifecycleChanged
from workspaced.fsm.state import State

TAG: Final = "demo-latency"
RATE: Final = 200
CHATS: Final = 20
SECONDS: Final = 2
PATIENCE_S: Final = 30
FSYNCS: Final = 41
PAGE_BYTES: Final = 8192


class Latency(Struct, frozen=True):
    """What was measured, in milliseconds."""

    events: int
    rate: int
    p50_ms: float
    p99_ms: float
    fsync_ms: float
    """What one fsync of a page takes on this disk, the median: no commit can be faster."""


class _Member(Struct):
    chat_id: str
    workspace_id: str
    build_id: str
    agent_id: str


async def measure(stack: Stack, client: WorkspacedClient) -> Latency:
    """`RATE` events a second for `SECONDS`; the stack has a queue for `TAG`. Leaves no live workspace."""
    async with _provisioner(stack), _connected(stack, "admin") as agents:
        members = await _ready_chats(client, agents, stack.identity)
        try:
            took = await _flip(client, agents, members)
        finally:
            for member in members:
                await client.delete(member.chat_id)
            for member in members:
                await client.wait_until(member.chat_id, lambda chat: not chat.workspace or chat.workspace.deleted)
    ordered = sorted(1000 * seconds for seconds in took)
    fsync_ms = await asyncio.to_thread(_fsync_ms, stack.folder)
    return Latency(len(ordered), RATE, ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], fsync_ms)


async def _flip(client: WorkspacedClient, agents: Client, members: list[_Member]) -> list[float]:
    """Seconds from publishing each report to holding the push that names it as its cause."""
    sent: dict[str, float] = {}
    took: list[float] = []
    count = RATE * SECONDS

    async def receive(pushes: AsyncIterator[Any]) -> None:
        async for push in pushes:
            if (at := sent.get(push.cause.id)) is not None:
                took.append(time.perf_counter() - at)
                if len(took) == count:
                    return

    async with asyncio.timeout(PATIENCE_S), client.watch_all() as pushes:
        receiving = asyncio.create_task(receive(pushes))
        began = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(began + number / RATE - time.perf_counter())
            member, turn = members[number % CHATS], number // CHATS
            event_id = str(uuid4())
            sent[event_id] = time.perf_counter()
            await _lifecycle(agents, member, "ready" if turn % 2 else "starting", event_id)
        await receiving
    return took


async def _ready_chats(client: WorkspacedClient, agents: Client, identity: Identity) -> list[_Member]:
    template = {"organization_id": identity.organization_id, "name": TAG, "provisioner": TAG}
    put = await client.put_template(await with_known_ids(client, template))

    async def bring_up() -> _Member:
        chat_id = str(uuid4())
        await client.create(
            chat_id,
            owner=identity.owner,
            organization_id=identity.organization_id,
            template_id=put.template.id,
        )
        bound = await client.wait_until(chat_id, {State.CONNECTING})
        if bound.workspace is None or bound.build_id is None or bound.agent_id is None:
            raise AssertionError("a connecting chat is bound")
        member = _Member(chat_id, bound.workspace.id, bound.build_id, bound.agent_id)
        server_id, client_id = _connection(agents)
        connected = AgentConnected(server_id, client_id, str(uuid4()), datetime.now(UTC), member.build_id)
        subject = subjects.agent_event(member.workspace_id, member.agent_id, "connected")
        await agents.publish(subject, msgspec.json.encode(connected))
        await _lifecycle(agents, member, "starting", str(uuid4()))
        await _lifecycle(agents, member, "ready", str(uuid4()))
        await client.wait_until(chat_id, {State.READY})
        return member

    async with asyncio.timeout(PATIENCE_S):
        return await asyncio.gather(*(bring_up() for _ in range(CHATS)))


async def _lifecycle(agents: Client, member: _Member, state: Any, event_id: str) -> None:  # noqa: ANN401  # one of its words
    server_id, client_id = _connection(agents)
    report = LifecycleChanged(server_id, client_id, state, event_id, datetime.now(UTC), member.build_id)
    subject = subjects.agent_event(member.workspace_id, member.agent_id, "lifecycle")
    await agents.publish(subject, msgspec.json.encode(report))


def _connection(agents: Client) -> tuple[str, int]:
    """All agents share one real connection: of one that is not there the engine would soon find that it is gone."""
    info: dict[str, Any] = agents._server_info  # noqa: SLF001  # the library has no other way to the server's id
    return info["server_id"], info["client_id"]


@asynccontextmanager
async def _provisioner(stack: Stack) -> AsyncIterator[None]:
    """Takes the measured chats' jobs; they are done at once, with an agent that is only a name."""

    async def handle(job: Job, _: JobInHand) -> tuple[AgentReport, ...]:
        return (AgentReport(str(uuid4()), "main"),) if job.transition == "start" else ()

    async with _connected(stack, "provisioner") as connection:
        client = ProvisionerClient(connection, TAG)
        working = asyncio.create_task(client.run(handle))
        try:
            yield
        finally:
            await client.drain()
            await working


@asynccontextmanager
async def _connected(stack: Stack, role: str) -> AsyncIterator[Client]:
    login = stack.login(role)
    connection = await open_connection(login.url, **login.options(), name=f"demo {role}")
    try:
        yield connection
    finally:
        await connection.close()


def _fsync_ms(folder: Path) -> float:
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(PAGE_BYTES))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return sorted(took)[FSYNCS // 2]
