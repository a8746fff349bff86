"""Who may say what, asked of a real server with the shipped nats.conf."""

import pytest
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats.js.errors import APIError

from tests.permission_table import MAY_NOT_PUBLISH, MAY_NOT_SUBSCRIBE, MAY_PUBLISH, MAY_SUBSCRIBE
from tests.servers import Connections
from workspaced.app.embedded_nats import NatsServer

SCHEDULES_ARE_OFF = 10188
TARGET_IS_OUTSIDE = 10190


def rows(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The table as (role, subject), one per test."""
    return [(role, subject) for role, subjects in table.items() for subject in subjects]


@pytest.mark.parametrize(("role", "subject"), rows(MAY_PUBLISH))
async def test_publish_allowed(connect: Connections, role: str, subject: str) -> None:
    """The role's work needs this subject."""
    client = await connect(role)
    await client.publish(subject)

    assert await connect.refusals(client) == []


@pytest.mark.parametrize(("role", "subject"), rows(MAY_NOT_PUBLISH))
async def test_publish_denied(connect: Connections, role: str, subject: str) -> None:
    """Saying this would be speaking for somebody else."""
    client = await connect(role)
    await client.publish(subject)

    assert [f'publish to "{subject.lower()}"' in words for words in await connect.refusals(client)] == [True]


@pytest.mark.parametrize(("role", "subject"), rows(MAY_SUBSCRIBE))
async def test_subscribe_allowed(connect: Connections, role: str, subject: str) -> None:
    """The role's work needs to hear this."""
    client = await connect(role)
    await client.subscribe(subject)

    assert await connect.refusals(client) == []


@pytest.mark.parametrize(("role", "subject"), rows(MAY_NOT_SUBSCRIBE))
async def test_subscribe_denied(connect: Connections, role: str, subject: str) -> None:
    """Hearing this would be reading somebody else's mail."""
    client = await connect(role)
    await client.subscribe(subject)

    assert len(await connect.refusals(client)) == 1


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("ws.timer.deadline.c1", {"admin", "engine"}),
        ("ws.due.deadline.c1", {"admin"}),  # the server alone puts it there, when the deadline is due
        ("ws.chat.c1.ready", {"admin", "engine"}),
    ],
)
async def test_only_the_engine_speaks_for_the_engine(
    connect: Connections, nats: NatsServer, subject: str, expected: set[str]
) -> None:
    """TIMERS and the pushes are closed to all others; admin is the deployment itself."""
    allowed = set()
    for role in nats.roles:
        client = await connect(role)
        await client.publish(subject)
        if not await connect.refusals(client):
            allowed.add(role)

    assert allowed == expected


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
