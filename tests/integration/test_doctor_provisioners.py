"""Of which provisioners the doctor speaks: on a real server, those that a job waits for."""

from contextlib import aclosing
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
    """A server with all streams and two queues."""
    admin = await connect("admin")
    await jetstream.ensure(admin, ("busy", "idle"))
    return admin


async def provisioners(nats: NatsServer, tag: str | None = None) -> list[tuple[bool, str, str]]:
    """The doctor's lines, with an engine's permissions."""
    given = {"NATS_URL": nats.url, "WORKSPACED_USER": "engine", "WORKSPACED_PASSWORD": nats.roles["engine"].password}
    found: list[Check] = []
    async with aclosing(check_servers(Sources({}, given), tag)) as checks:
        found += [check async for check in checks]
    return [(check.ok, check.detail, check.next) for check in found if check.name == "provisioner"]


async def a_job(admin: Client, tag: str) -> None:
    """One that waits."""
    await admin.jetstream().publish(subjects.job(tag, str(uuid4())), b"{}")


async def test_no_job(nats: NatsServer, admin: Client) -> None:
    """A queue without jobs and provisioners is nobody's fault; one that is asked for is."""
    assert admin.is_connected

    assert await provisioners(nats) == [(True, "no job waits for one", "")]
    assert await provisioners(nats, "idle") == [
        (False, "0 jobs wait in queue 'idle', and nobody takes them", "start one: `workspaced provisioner --tag idle`")
    ]


async def test_every_tag_that_a_job_waits_for(nats: NatsServer, admin: Client) -> None:
    """With a provisioner, without one, and without a queue; what is no tag is none."""
    for tag in ("lost", "busy", "busy"):
        await a_job(admin, tag)
    await admin.jetstream().publish("ws.job.No_Tag.x", b"{}")

    alone = await provisioners(nats)
    await a_job(admin, "idle")
    taken = await admin.jetstream().pull_subscribe_bind("idle", "JOBS")
    await taken.fetch(1)

    assert alone == [
        (False, "2 jobs wait in queue 'busy', and nobody takes them", "start one: `workspaced provisioner --tag busy`"),
        (False, "there is no job queue 'lost'", "run `workspaced migrate --provisioner-tag lost`"),
    ]
    assert (await provisioners(nats))[1] == (True, "0 jobs wait in queue 'idle', and somebody takes them", "")
