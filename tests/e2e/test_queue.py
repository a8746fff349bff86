"""Limits on builds at once, on the real servers: nobody beyond them, everybody in turn, whatever dies in between."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.doom import doomed
from tests.e2e.flow import everything_is_said
from tests.e2e.provisioner import Body
from tests.e2e.pushes import Push
from tests.e2e.stack import Stack
from workspaced.app.audit import audit
from workspaced.app.moments import AT
from workspaced.fsm.facts import Queue

LIMIT = 3
CHATS = 24

RUNNING = """
    select count(*) as running from workspaced.builds
    where completed_at is null and error = '' and transition = 'start' and queue is null
"""
"""Builds that count for the limits."""


@pytest.fixture
def ack_wait() -> timedelta:
    """Short: what a dead engine held comes again after that."""
    return timedelta(seconds=1)


def waits_for_queue(push: Push) -> bool:
    """It is in the queue and was told its place."""
    return push["snapshot"]["queue"] is not None


def waits_for_provisioner(push: Push) -> bool:
    """Its turn has come."""
    return bool(push["snapshot"]["waiting_for"] == "provisioner")


async def test_two_engines_keep_the_limit(stack: Stack) -> None:
    """A burst of creates: as many as the limit run at once and never more, and all get ready in the end."""
    for _ in range(2):
        await stack.engine(builds_per_template=LIMIT)
    chats = [str(uuid4()) for _ in range(CHATS)]
    in_hand, at_once, all_run = 0, [], asyncio.Barrier(LIMIT)

    async def bring_up() -> None:
        nonlocal in_hand
        job = await stack.provisioner.job()
        in_hand += 1
        agent = await stack.provisioner.agent(job)
        await stack.provisioner.tell(job, "running")
        await all_run.wait()  # none ends before so many are under way
        (row,) = await stack.sql(RUNNING)
        at_once.append((in_hand, row["running"]))
        await all_run.wait()  # nor before all have counted
        in_hand -= 1  # when its end is told it is the next one's turn
        await stack.provisioner.tell(job, "succeeded", agents=[{"id": agent.id, "name": "main"}])
        await agent.get_ready()

    await asyncio.gather(*(stack.create(chat) for chat in chats))
    await asyncio.gather(*(bring_up() for _ in chats), *(stack.pushes.until(chat, "ready") for chat in chats))
    await stack.decided()

    assert at_once == [(LIMIT, LIMIT)] * CHATS
    assert stack.provisioner.doubled == []
    await everything_is_said(stack)
    assert await audit(stack.dsn, stack.admin, taken_jobs=stack.provisioner.seen) == []


async def test_audits_while_the_queue_moves(stack: Stack) -> None:
    """With two engines at work: no limit is exceeded, and nobody is held for whom there is room."""
    for _ in range(2):
        await stack.engine()
    await stack.client.put_settings({"builds_per_template": "2", "builds_per_owner": "5"})
    await stack.sql("update workspaced.settings set changed_at = now() - interval '1 hour'")
    working = asyncio.gather(*(stack.ready(str(uuid4())) for _ in range(CHATS)))

    found = []
    while not working.done():
        found += [one for one in await audit(stack.dsn, stack.admin) if one.invariant in {"limits_kept", "queue_moves"}]
    await working

    assert found == []


async def test_the_place_is_seen(stack: Stack) -> None:
    """By a push when it joined, by get and list as it is now; and it is the next one's turn when a build ends."""
    await stack.engine(builds_per_owner=1)
    chats = [str(uuid4()) for _ in range(4)]
    jobs: list[Body] = []
    for chat in chats:
        await stack.create(chat)
        told = waits_for_queue if jobs else waits_for_provisioner
        await stack.pushes.until(chat, told)
        jobs = jobs or [await stack.provisioner.job()]
    joined = [push["snapshot"]["queue"] for chat in chats for push in stack.pushes.heard[chat] if waits_for_queue(push)]
    assert joined == [{"place": place, "of": "owner", "limit": 1} for place in (1, 2, 3)]

    await stack.provisioner.build(jobs[0])
    await stack.pushes.until(chats[1], waits_for_provisioner)

    now = [await stack.client.get(chat) for chat in chats]
    assert [snapshot.queue for snapshot in now] == [None, None, Queue(1, "owner", 1), Queue(2, "owner", 1)]
    assert [snapshot.waiting_for for snapshot in now] == ["agent", "provisioner", "queue", "queue"]
    listed = {snapshot.chat_id: snapshot.queue for snapshot in (await stack.client.list_chats()).chats}
    assert listed == {snapshot.chat_id: snapshot.queue for snapshot in now}


async def test_a_raised_limit_lets_go_at_once(stack: Stack) -> None:
    """`settings put` counts for those that wait already; a canceled one takes nobody's turn."""
    engine = await stack.engine()
    await stack.client.put_settings({"builds_per_template": "1"})
    first, second, third = (str(uuid4()) for _ in range(3))
    await stack.create(first)
    for chat in (second, third):
        await stack.create(chat)
        await stack.pushes.until(chat, waits_for_queue)
    assert "workspaced_queued_builds 2.0" in (await stack.page(engine, "/metrics"))[1]

    assert (await stack.client.cancel(second)).outcome == "accepted"
    await stack.client.put_settings({"builds_per_template": "2"})
    await stack.pushes.until(third, waits_for_provisioner)

    assert [(await stack.provisioner.job())["build_number"] for _ in range(2)] == [1, 1]
    assert (await stack.client.get(second)).state == "failed"
    await stack.decided()
    assert await audit(stack.dsn, stack.admin, taken_jobs=stack.provisioner.seen) == []
    assert "workspaced_queued_builds 0.0" in (await stack.page(engine, "/metrics"))[1]


async def test_the_queue_deadline(stack: Stack) -> None:
    """It says place and limit, and may be tried again."""
    await stack.engine(builds_per_template=1, queue_deadline=timedelta(seconds=2))
    first, second = str(uuid4()), str(uuid4())
    await stack.create(first)
    await stack.pushes.until(first, waits_for_provisioner)
    await stack.create(second)

    failed = await stack.pushes.until(second, "failed")

    failure = failed["snapshot"]["failure"]
    assert (failure["phase"], failure["code"], failure["retryable"]) == ("creating", "queue_timeout", True)
    assert failure["message"].endswith(
        "not begun within 2s, because only 1 may run at once for this template; it joined as number 1"
    )
    assert (await stack.client.get(first)).state == "creating"


@pytest.mark.parametrize("moment", AT)
async def test_killed_between_an_end_and_the_next_turn(stack: Stack, moment: str) -> None:
    """The engine that decides the end of a build dies at the moment, and so does the next one, over the look."""
    limits: dict[str, Any] = {"builds_per_template": 1}
    await stack.client.close()
    engine = await stack.engine(**limits)
    stack.client = await stack.a_client()
    first, second = str(uuid4()), str(uuid4())
    job = await stack.provisioner.job((await stack.create(first)).build_id)
    await stack.create(second)
    await stack.pushes.until(second, waits_for_queue)
    await stack.decided()
    await stack.stop(engine)
    await stack.provisioner.tell(job, "failed", error="no such image")

    for _ in range(2):
        async with doomed(stack, moment, **limits) as process:
            await process.wait()
    await stack.engine(**limits)
    await stack.pushes.until(second, waits_for_provisioner)
    await stack.decided()

    assert (await stack.provisioner.job())["workspace"]["id"] == (await stack.client.get(second)).workspace.id  # type: ignore[union-attr]  # it has one
    await everything_is_said(stack)


async def test_a_look_that_was_lost(stack: Stack) -> None:
    """With the streams, say: an engine that starts looks at the queue."""
    engine = await stack.engine(builds_per_template=1)
    first, second = str(uuid4()), str(uuid4())
    job = await stack.provisioner.job((await stack.create(first)).build_id)
    await stack.create(second)
    await stack.pushes.until(second, waits_for_queue)
    await stack.stop(engine)
    await stack.sql("update workspaced.builds set completed_at = now(), error = 'lost' where id = $1", job["build_id"])

    await stack.engine(builds_per_template=1)

    await stack.pushes.until(second, waits_for_provisioner)
