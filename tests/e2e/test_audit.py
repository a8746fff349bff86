"""The audit: silent where all is well, also in the midst of work, and every invariant broken by hand is named."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.e2e.breakages import BROKEN, FAILED, READY, WAITING, Break
from tests.e2e.by_hand import as_admin
from tests.e2e.stack import Stack
from workspaced.app.audit import INVARIANTS, Violation, audit
from workspaced.store.postgres import PostgresStore

CHATS = 60


@pytest.fixture
async def rested(stack: Stack) -> Stack:
    """A chat that is ready, one that failed, one whose job nobody takes; nothing is in work and no engine runs."""
    engine = await stack.engine()
    await stack.ready(READY)
    job = await stack.provisioner.job((await stack.create(FAILED)).build_id)
    await stack.provisioner.tell(job, "running")
    await stack.provisioner.tell(job, "failed", error="no such image")
    await stack.pushes.until(FAILED, "failed")
    await stack.provisioner.connection.close()
    await stack.create(WAITING)
    await stack.stop(engine)  # it acknowledges what it has done
    return stack


async def found_in(stack: Stack, taken_jobs: frozenset[str] = frozenset()) -> list[Violation]:
    """What the audit finds."""
    return await audit(stack.dsn, stack.admin, taken_jobs=taken_jobs)


async def test_a_place_at_rest(rested: Stack) -> None:
    """All is well, and it tells what it looks at."""
    looked_at: list[str] = []

    found = await audit(rested.dsn, rested.admin, tell=lambda what, _done, _total: looked_at.append(what))

    assert found == []
    assert list(dict.fromkeys(looked_at)) == ["pushes", "rows", "deadlines", "limits", "replay", "facts"]


async def test_a_command_that_changed_nothing(stack: Stack) -> None:
    """It is the last word on its chat, which rests all the same: the chat is played, and nothing is left out."""
    engine = await stack.engine()
    await stack.ready(READY)
    assert (await stack.create(READY)).outcome == "exists"
    await stack.stop(engine)
    looked_at: list[str] = []

    found = await audit(stack.dsn, stack.admin, tell=lambda what, _done, _total: looked_at.append(what))

    assert found == []
    assert list(dict.fromkeys(looked_at)) == ["pushes", "rows", "deadlines", "limits", "replay", "facts"]


async def test_a_place_with_nothing_in_it(stack: Stack) -> None:
    """All is well there too."""
    assert await found_in(stack) == []


async def test_in_the_midst_of_work(stack: Stack) -> None:
    """Audits that run while many chats come up on two engines find nothing."""
    for _ in range(2):
        await stack.engine()
    working = asyncio.gather(*(stack.ready(str(uuid4())) for _ in range(CHATS)))

    found = []
    while not working.done():
        found += [one for one in await found_in(stack) if one.invariant != "pending_job_queued"]  # see the next test
    await working

    assert found == []
    assert await found_in(stack) == []


async def test_jobs_that_a_provisioner_took_without_a_word(stack: Stack) -> None:
    """They are named, unless the caller knows of them; ours acknowledge a job when they told of its end."""
    engine = await stack.engine()
    job = await stack.provisioner.job((await stack.create(str(uuid4()))).build_id)
    await stack.stop(engine)

    unknown = await found_in(stack)
    known = await found_in(stack, frozenset({job["job_id"]}))

    assert [(one.invariant, one.ids["job_id"]) for one in unknown] == [("pending_job_queued", job["job_id"])]
    assert known == []


async def test_a_job_that_was_told_of(rested: Stack) -> None:
    """Once a report names it, it was delivered, though no engine has read the report."""
    (build,) = await rested.sql("select * from workspaced.builds where completed_at is null")
    await rested.admin.jetstream().purge_stream("JOBS")
    body = f'{{"job_id": "{build["job_id"]}"}}'.encode()
    await rested.admin.jetstream().publish(f"ws.event.{build['workspace_id']}.job.running", body)

    assert await found_in(rested) == []


async def test_what_is_in_hand_is_not_lost(rested: Stack) -> None:
    """Rows of an input that is not acknowledged are published when it comes again."""
    later = (await rested.admin.jetstream().stream_info("EVENTS")).state.last_seq + 1
    await rested.sql("update workspaced.chats set version = version + 1 where id = $1", READY)
    await rested.sql(
        """insert into workspaced.transitions
           select chat_id, version + 1, 'ready', 'ready', cause, at + interval '1 second', input_id,
               regexp_replace(input_key, '[0-9]+$', $2::text), snapshot, workspace_id, template_id, build_id, agent_id,
               failure, took_ms, effects, machine_version
           from workspaced.transitions where chat_id = $1 order by version desc limit 1""",
        READY,
        str(later),
    )

    assert await found_in(rested) == []


@pytest.mark.parametrize(
    ("invariant", "break_it"),
    [(invariant, break_it) for invariant, _, break_it in BROKEN],
    ids=[f"{invariant}: {how}" for invariant, how, _ in BROKEN],
)
async def test_what_is_broken_is_named(rested: Stack, invariant: str, break_it: Break) -> None:
    """The invariant's name, the ids that say where, and words that say what."""
    await break_it(rested)

    found = [one for one in await found_in(rested) if one.invariant == invariant]

    assert found
    assert found[0].ids
    assert found[0].detail


def test_every_invariant_is_broken_once() -> None:
    """None is only believed to be checked."""
    assert {invariant for invariant, _, _ in BROKEN} == set(INVARIANTS)


async def test_history_that_was_pruned(rested: Stack) -> None:
    """It begins later, and nobody misses what was forgotten."""
    store = PostgresStore(rested.dsn, pool_size=1)
    await store.open()
    forgotten = await store.prune(datetime.now(UTC) + timedelta(minutes=1))
    await store.close()

    assert forgotten > 0
    assert await found_in(rested) == []


async def test_the_command(rested: Stack) -> None:
    """Exit code 0 and a line for each invariant, or 1 with what is broken and where."""
    cli = as_admin(rested)

    well = await asyncio.to_thread(cli.lines, "audit")
    await rested.sql("update workspaced.chats set version = version + 1 where id = $1", READY)
    broken = await asyncio.to_thread(cli.run, "audit")
    told = await asyncio.to_thread(cli.run, "audit", "--json")

    assert [line.split()[:2] for line in well] == [["ok", name] for name in INVARIANTS]
    assert (broken.returncode, told.returncode, told.stderr) == (1, 1, "")
    assert "fail  versions_gap_free" in broken.stdout
    document = json.loads(told.stdout)
    assert not document["ok"]
    assert document["violations"] == [
        {
            "invariant": "versions_gap_free",
            "ids": {"chat_id": READY},
            "detail": "version 8, but 7 transitions from 1 to 7",
        }
    ]
    assert document["left_out"] == [{"reason": "it moves", "parts": 1, "of": 3}]


async def test_what_is_not_replayed(rested: Stack) -> None:
    """It is told how much that is, and why: silence there is not a sign that all is well."""
    cli = as_admin(rested)
    await rested.sql("insert into workspaced.settings values ('workspace_ttl', '1h', now())")

    lines = await asyncio.to_thread(cli.lines, "audit")
    document = json.loads((await asyncio.to_thread(cli.run, "audit", "--json")).stdout)

    assert lines[-1] == "not replayed: 3 of 3 parts; settings were changed since"
    assert document["left_out"] == [{"reason": "settings were changed since", "parts": 3, "of": 3}]
