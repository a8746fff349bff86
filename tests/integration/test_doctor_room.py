"""What the doctor says of the streams' room, on a real server."""

from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from nats.aio.client import Client

from tests.servers import Connections
from workspaced.app.doctor import Check
from workspaced.app.doctor_servers import check_servers
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.sources import Sources
from workspaced.bus import jetstream, subjects


@pytest.fixture
async def admin(connect: Connections) -> Client:
    """A server with all streams."""
    admin = await connect("admin")
    await jetstream.ensure(admin)
    return admin


async def limit(admin: Client, stream: str, **limits: Any) -> None:  # noqa: ANN401  # JetStream's
    """What an operator may do to a stream."""
    config = (await jetstream.request(admin, f"STREAM.INFO.{stream}"))["config"]
    await jetstream.request(admin, f"STREAM.UPDATE.{stream}", config | limits)


async def room(nats: NatsServer) -> Check:
    """The doctor's line."""
    role = nats.roles["engine"]
    given = {"NATS_URL": nats.url, "WORKSPACED_USER": "engine", "WORKSPACED_PASSWORD": role.password}
    async with aclosing(check_servers(Sources({}, given), "default")) as checks:
        async for check in checks:
            if check.name == "room":
                return check
    raise AssertionError


async def test_room(nats: NatsServer, admin: Client, connect: Connections) -> None:
    """Streams as we make them have room."""
    engine = await connect("engine")
    assert await room(nats) == Check("room", ok=True, detail="no stream is near its limits")
    await limit(admin, "CHATS", max_msgs=5)
    for _ in range(4):
        await engine.jetstream().publish(subjects.chat(str(uuid4()), "creating"), b"{}")

    full = await room(nats)

    assert (full.ok, full.detail) == (False, "CHATS is 80% full")
    assert "docs/outages.md" in full.next


@pytest.mark.parametrize(("name", "value"), [("max_bytes", 10**6), ("max_msgs", 10**6), ("max_age", 10**12)])
async def test_timers_with_a_limit(nats: NatsServer, admin: Client, name: str, value: int) -> None:
    """Said before there is a single deadline in it, and mended as it says."""
    await limit(admin, "TIMERS", **{name: value})

    limited = await room(nats)
    await jetstream.ensure(admin)

    assert (limited.ok, limited.detail) == (False, "stream TIMERS has a limit, and would drop deadlines for it")
    assert "workspaced migrate" in limited.next
    assert (await room(nats)).ok
