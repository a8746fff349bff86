"""A stream has no room: it is said which, nothing is lost, and it goes on with the first room there is."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.stack import LIMIT, Stack
from workspaced.app import room
from workspaced.app.audit import audit
from workspaced.app.serve import Server
from workspaced.bus import ask, jetstream
from workspaced.fsm.errors import Unavailable

FULL = "maximum messages exceeded"


async def limit(stack: Stack, stream: str, **limits: Any) -> None:  # noqa: ANN401  # JetStream's
    """What an operator may do to a stream."""
    config = (await jetstream.request(stack.admin, f"STREAM.INFO.{stream}"))["config"]
    await jetstream.request(stack.admin, f"STREAM.UPDATE.{stream}", config | limits)


async def until_page(stack: Stack, engine: Server, wanted: str) -> str:
    """Wait until `/readyz` says so."""
    async with asyncio.timeout(LIMIT):
        while wanted not in (page := (await stack.page(engine, "/readyz"))[1]):
            pass
    return page


async def used(stack: Stack, engine: Server, stream: str) -> float:
    """What the metrics say of the stream."""
    lines = (await stack.page(engine, "/metrics"))[1].splitlines()
    return next(
        float(line.split()[1]) for line in lines if line.startswith(f'workspaced_stream_used_ratio{{stream="{stream}"')
    )


@pytest.mark.parametrize("stream", ["CHATS", "JOBS"])
async def test_what_is_to_be_said_is_held_back(stack: Stack, stream: str) -> None:
    """The engine keeps trying; nobody is told anything before, and everything is said in the end."""
    engine = await stack.engine()
    await limit(stack, stream, max_msgs=1, discard="new")
    first, second = str(uuid4()), str(uuid4())

    asking = asyncio.gather(*(stack.create(chat) for chat in (first, second)))
    page = await until_page(stack, engine, "NATS does not take")
    metrics = (await stack.page(engine, "/metrics"))[1]
    await limit(stack, stream, max_msgs=-1)
    for chat in (first, second):
        await stack.pushes.until(chat, "creating")
    await until_page(stack, engine, "ready\n")
    await asking
    await stack.decided()

    assert page == f"NATS does not take what is to be said ({stream}: {FULL})\n"
    assert 'workspaced_fault{cause="held_back"} 1.0' in metrics
    jobs = {(await stack.provisioner.job())["job_id"] for _ in range(2)}
    assert await audit(stack.dsn, stack.admin, taken_jobs=frozenset(jobs)) == []


async def test_dead_letters_without_room(stack: Stack) -> None:
    """A message nobody can use is not given up before it is put aside."""
    engine = await stack.engine()
    await limit(stack, "DEAD", max_msgs=1, discard="new")

    for number in range(2):
        await stack.admin.jetstream().publish(f"ws.event.{uuid4()}.job.running", f"no JSON {number}".encode())
    page = await until_page(stack, engine, "NATS does not take")
    await limit(stack, "DEAD", max_msgs=-1)
    await until_page(stack, engine, "ready\n")
    await stack.decided()

    assert f"DEAD: {FULL}" in page
    assert [kept.body for kept in await stack.stored("DEAD")] == [b"no JSON 0", b"no JSON 1"]


async def test_events_make_room(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided leaves EVENTS when it gets full: whatever there is to tell finds room."""
    monkeypatch.setattr(room, "INPUTS", 1)
    engine = await stack.engine()
    await limit(stack, "EVENTS", max_msgs=30)
    chats = [str(uuid4()) for _ in range(10)]

    for chat in chats:  # some seven messages each
        await stack.ready(chat)
    await stack.decided()

    assert await used(stack, engine, "EVENTS") < 1
    assert await audit(stack.dsn, stack.admin, taken_jobs=await jobs_of(stack)) == []


async def test_events_without_room(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not decided is never dropped for it: the newcomers are refused, and come again."""
    monkeypatch.setattr(ask, "LATELY", timedelta(0))
    engine = await stack.engine()
    first = str(uuid4())
    job = await stack.provisioner.job((await stack.create(first)).build_id)
    await stack.decided()
    kept = await stack.stored("EVENTS")
    await limit(stack, "EVENTS", max_msgs=len(kept))

    page = await until_page(stack, engine, "EVENTS is full")
    share = await used(stack, engine, "EVENTS")
    with pytest.raises(Unavailable):
        await stack.create(str(uuid4()))
    await limit(stack, "EVENTS", max_msgs=-1)
    await stack.provisioner.bring_up(job)
    await stack.pushes.until(first, "ready")
    await until_page(stack, engine, "ready\n")

    assert page == "EVENTS is full: reports and commands are refused\n"
    assert share == 1


async def jobs_of(stack: Stack) -> frozenset[str]:
    """All jobs; the scripted provisioner acknowledges them when it takes them."""
    return frozenset(row["job"] for row in await stack.sql("select job_id::text as job from workspaced.builds"))
