"""Who may say what, asked of a real server with the shipped nats.conf: the tables of docs/security.md."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats.js.errors import APIError

from tests.permission_table import IDS, rows
from tests.servers import Connections, running
from workspaced.app.clock import utc_now
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus.auth_jwt import Signer
from workspaced.bus.callout import Callout
from workspaced.fsm.values import Connection

if TYPE_CHECKING:
    from nats.aio.client import Client

SCHEDULES_ARE_OFF = 10188
TARGET_IS_OUTSIDE = 10190
PUBLISH, SUBSCRIBE = rows("may-publish"), rows("may-subscribe")
AGENT, WORKSPACE = IDS["agent"], IDS["workspace"]


class Open:
    """A doorkeeper that lets everybody in."""

    workspace_id = WORKSPACE
    former: tuple[Connection, ...] = ()

    async def admit(self, *_: object) -> "Open":
        """As an agent of the one workspace."""
        return self

    async def revoked(self, _: str | None = None) -> list[Connection]:
        """Nobody."""
        return []

    async def forget(self, connections: list[Connection]) -> None:
        """Nothing is kept."""


@pytest.fixture(scope="module")
def shipped() -> Iterator[NatsServer]:
    """A server with the very file that is shipped."""
    with running(NatsServer) as server:
        yield server


@asynccontextmanager
async def a_client(server: NatsServer, role: str) -> AsyncIterator[tuple["Client", Connections]]:
    """A client of a role; an agent by way of the callout."""
    connections = Connections(server)
    callout = Callout(
        await connections("callout"),
        Open(),
        Signer(server.credentials.callout_seed),
        clock=utc_now,
        lifetime=timedelta(hours=1),
    )
    try:
        if role == "agent":
            await callout.start()
            yield await connections.login(AGENT, f"{IDS['build']}.secret", f"_INBOX_{AGENT}"), connections
        else:
            yield await connections(role), connections
    finally:
        await callout.stop()
        await connections.close()


async def not_refused(
    subjects: Iterable[str], attempt: Callable[[str], Awaitable[object]], client: "Client", connections: Connections
) -> set[str]:
    """Those of `subjects` with which the server let `client` do it."""
    allowed = set()
    for subject in subjects:
        await attempt(subject)
        if not await connections.refusals(client):
            allowed.add(subject)
    return allowed


@pytest.mark.parametrize("role", PUBLISH.roles)
async def test_who_may_publish(shipped: NatsServer, role: str) -> None:
    """Everything that the table has, and nothing else."""
    async with a_client(shipped, role) as (client, connections):
        allowed = await not_refused(PUBLISH.may, client.publish, client, connections)

    assert allowed == PUBLISH.of(role)


@pytest.mark.parametrize("role", SUBSCRIBE.roles)
async def test_who_may_subscribe(shipped: NatsServer, role: str) -> None:
    """Everything that the table has, and nothing else."""
    async with a_client(shipped, role) as (client, connections):
        allowed = await not_refused(SUBSCRIBE.may, client.subscribe, client, connections)

    assert allowed == SUBSCRIBE.of(role)


def test_the_tables_know_every_role(shipped: NatsServer) -> None:
    """A role that is added has to be told about."""
    roles = {*shipped.roles, "callout", "agent"}

    assert (set(PUBLISH.roles), set(SUBSCRIBE.roles)) == (roles, roles)


def test_no_standing_role_for_agents(shipped: NatsServer) -> None:
    """Nobody is an agent by a password that all agents share."""
    assert "agent" not in shipped.credentials.passwords


async def test_the_service_listens_in_its_queue_group(connect: Connections) -> None:
    """The engine hears requests as one of the group only, so that none is answered twice."""
    client = await connect("engine")
    await client.subscribe("ws.api.>", queue="workspaced")

    assert await connect.refusals(client) == []


@pytest.mark.parametrize(
    ("asking", "answering", "request_subject", "subscription", "queue"),
    [
        ("chatd", "engine", "ws.api.get", "ws.api.>", "workspaced"),
        ("inspector", "engine", "ws.api.dead", "ws.api.>", "workspaced"),
        ("chatd", "agent", "ws.agent.a1.ping", "ws.agent.a1.>", ""),
        ("engine", "agent", "ws.agent.a1.ping", "ws.agent.a1.>", ""),
        ("inspector", "engine", "$SRV.PING", "$SRV.>", ""),
    ],
)
async def test_a_request_is_answered(
    connect: Connections, asking: str, answering: str, request_subject: str, subscription: str, queue: str
) -> None:
    """Whoever may not publish to an inbox may still answer a request that came with it."""
    caller, service = await connect(asking), await connect(answering)

    async def answer(message: Msg) -> None:
        await message.respond(b"yes")

    await service.subscribe(subscription, queue=queue, cb=answer)
    await connect.refusals(service)
    reply = await caller.request(request_subject, b"{}", timeout=30)

    assert reply.data == b"yes"


async def test_a_schedule_is_refused_where_everybody_publishes(connect: Connections) -> None:
    """The hole of ADR-51: a schedule in EVENTS would let a provisioner write an agent's event in the server's name."""
    admin, provisioner = await connect("admin"), await connect("provisioner")
    await admin.jetstream().add_stream(StreamConfig(name="EVENTS", subjects=["ws.event.>"]))
    headers = {"Nats-Schedule": "@at 2026-01-01T00:00:00Z", "Nats-Schedule-Target": "ws.event.w1.agent.a1.connected"}

    with pytest.raises(APIError) as refused:
        await provisioner.jetstream().publish("ws.event.w1.job.running", b"{}", headers=headers)

    assert refused.value.err_code == SCHEDULES_ARE_OFF
    assert (await admin.jetstream().stream_info("EVENTS")).state.messages == 0


async def test_the_engine_schedules_within_its_stream_only(connect: Connections) -> None:
    """A schedule whose target lies outside of TIMERS is refused, the engine's own too."""
    admin, engine = await connect("admin"), await connect("engine")
    timers = StreamConfig(name="TIMERS", subjects=["ws.timer.>", "ws.due.>"], allow_msg_schedules=True)
    await admin.jetstream().add_stream(timers)
    headers = {"Nats-Schedule": "@at 2026-01-01T00:00:00Z", "Nats-Schedule-Target": "ws.chat.c1.ready"}

    with pytest.raises(APIError) as refused:
        await engine.jetstream().publish("ws.timer.deadline.c1", b"{}", headers=headers)

    assert refused.value.err_code == TARGET_IS_OUTSIDE


async def test_a_deadline_fires_into_the_stream(connect: Connections) -> None:
    """The server itself puts the due message where the engine may not publish."""
    admin, engine = await connect("admin"), await connect("engine")
    timers = StreamConfig(name="TIMERS", subjects=["ws.timer.>", "ws.due.>"], allow_msg_schedules=True)
    await admin.jetstream().add_stream(timers)
    due = await admin.jetstream().pull_subscribe("ws.due.>", durable="engine", stream="TIMERS")
    headers = {"Nats-Schedule": "@at 2026-01-01T00:00:00Z", "Nats-Schedule-Target": "ws.due.deadline.c1"}
    await engine.jetstream().publish("ws.timer.deadline.c1", b"7", headers=headers)

    (message,) = await due.fetch(1, timeout=30)

    assert (message.subject, message.data) == ("ws.due.deadline.c1", b"7")
