"""Of which provisioners the doctor speaks: on a real server, those that a job waits for."""

from contextlib import aclosing
from uuid import uuid4

import pytest
from nats.aio.client import Client

from tests.servers import Connections
from workspaced.app.doctor_provisioners import check_provisioners
from workspaced.bus import jetstream, subjects


@pytest.fixture
async def admin(connect: Connections) -> Client:
    """A server with all streams and two queues."""
    admin = await connect("admin")
    await jetstream.ensure(admin, ("busy", "idle"))
    return admin


@pytest.fixture
async def engine(connect: Connections) -> Client:
    """With an engine's permissions."""
    return await connect("engine")


async def provisioners(engine: Client, tag: str | None = None) -> list[tuple[bool, str, str]]:
    """The doctor's lines."""
    async with aclosing(check_provisioners(engine, tag, local=False)) as checks:
        return [(check.ok, check.detail, check.next) async for check in checks]


async def a_job(admin: Client, tag: str) -> None:
    """One that waits."""
    await admin.jetstream().publish(subjects.job(tag, str(uuid4())), b"{}")


async def test_no_job(admin: Client, engine: Client) -> None:
    """A queue without jobs and provisioners is nobody's fault; one that is asked for is."""
    assert admin.is_connected

    assert await provisioners(engine) == [(True, "no job waits for one", "")]
    assert await provisioners(engine, "idle") == [
        (False, "0 jobs wait in queue 'idle', and nobody takes them", "start one: `workspaced provisioner --tag idle`")
    ]


async def test_every_tag_that_a_job_waits_for(admin: Client, engine: Client) -> None:
    """With a provisioner, without one, and without a queue; what is no tag is none."""
    for tag in ("lost", "busy", "busy"):
        await a_job(admin, tag)
    await admin.jetstream().publish("ws.job.No_Tag.x", b"{}")

    alone = await provisioners(engine)
    await a_job(admin, "idle")
    taken = await admin.jetstream().pull_subscribe_bind("idle", "JOBS")
    await taken.fetch(1)

    assert alone == [
        (False, "2 jobs wait in queue 'busy', and nobody takes them", "start one: `workspaced provisioner --tag busy`"),
        (False, "there is no job queue 'lost'", "run `workspaced migrate --provisioner-tag lost`"),
    ]
    assert (await provisioners(engine))[1] == (True, "0 jobs wait in queue 'idle', and somebody takes them", "")
