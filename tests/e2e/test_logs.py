"""Build logs as anybody reads them: by page, by following, late, and across what goes wrong."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from nats.errors import OutboundBufferLimitError

from tests.e2e.stack import LIMIT, Stack
from workspaced.bus import jetstream, subjects
from workspaced.bus.build_log import BuildLog
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.follow_logs import LogFollow
from workspaced.bus.log_bounds import LAST_LINES, LOG_LINES
from workspaced.bus.messages import LogEntry
from workspaced.fsm.errors import Forbidden

Job = dict[str, Any]


@pytest.fixture
async def job(stack: Stack) -> Job:
    """A build on its way, with an engine that serves."""
    await stack.engine()
    reply = await stack.create(str(uuid4()))
    return await stack.provisioner.job(reply.build_id)


async def send(stack: Stack, job: Job, seq: int, output: str | None = None) -> None:
    """A line as a foreign provisioner sends it, or the end; returns when it is stored."""
    body: Job = {"at": datetime.now(UTC).isoformat(), "stage": "build", "level": "info", "output": output, "seq": seq}
    if output is None:
        body = {"end": True, "seq": seq}
    subject = subjects.log(job["workspace"]["id"], job["build_id"])
    await stack.admin.jetstream().publish(subject, json.dumps(body).encode())


async def read_all(lines: LogFollow) -> list[LogEntry]:
    """Every line until the end."""
    async with asyncio.timeout(LIMIT):
        return [line async for line in lines]


async def next_of(lines: LogFollow) -> str:
    """The next line."""
    async with asyncio.timeout(LIMIT):
        return (await anext(lines)).output


async def test_followed_from_the_first_line_to_the_end(stack: Stack, job: Job) -> None:
    """What was there before comes first, then what comes, each line once; the end ends it."""
    await send(stack, job, 1, "one")
    async with stack.client.follow_logs(job["build_id"]) as lines:
        await send(stack, job, 2, "two")
        begin = [await next_of(lines), await next_of(lines)]
        await send(stack, job, 3, "three")
        begin.append(await next_of(lines))
        await send(stack, job, 4, "four")
        await send(stack, job, 5)
        rest = await read_all(lines)

    assert begin == ["one", "two", "three"]
    assert [(line.seq, line.output) for line in rest] == [(4, "four")]


async def test_a_late_follower_gets_all(stack: Stack, job: Job) -> None:
    """A log that has ended is read and left, nobody waits."""
    for seq, output in enumerate(["one", "two", None], start=1):
        await send(stack, job, seq, output)
    async with stack.client.follow_logs(job["build_id"]) as lines:
        found = await read_all(lines)

    assert [line.output for line in found] == ["one", "two"]


async def test_a_provisioner_that_takes_over_counts_anew(stack: Stack, job: Job) -> None:
    """Its lines have numbers seen before and are no repetitions; followed or by page they have the same numbers."""
    async with stack.client.follow_logs(job["build_id"]) as lines:
        for seq, output in [(1, "one"), (2, "two"), (1, "one again"), (2, "two again")]:
            await send(stack, job, seq, output)
        await send(stack, job, 3)
        found = await read_all(lines)
    page = await stack.client.logs(job["build_id"])

    assert [line.output for line in found] == ["one", "two", "one again", "two again"]
    assert [(line.seq, line.output) for line in page.lines] == [(line.seq, line.output) for line in found]


async def test_nothing_is_missed_while_away(stack: Stack, job: Job) -> None:
    """The connection breaks; lines and the end come meanwhile; they are read when it is back."""
    connection = stack.client.connection
    info = json.loads((await stack.admin.request("$SYS.REQ.USER.INFO", b"")).data)
    async with stack.client.follow_logs(job["build_id"]) as lines:
        await send(stack, job, 1, "one")
        assert await next_of(lines) == "one"
        kick = json.dumps({"cid": connection.client_id}).encode()
        callout = await stack.connect("callout")
        await callout.request(f"ws.kick.{info['server']['id']}", kick, timeout=LIMIT)
        await send(stack, job, 2, "two")
        await send(stack, job, 3)

        assert [line.output for line in await read_all(lines)] == ["two"]
        assert connection.stats["reconnects"] == 1


async def test_a_build_that_says_no_end(stack: Stack, job: Job) -> None:
    """`finish` ends it, after what is kept."""
    await send(stack, job, 1, "one")
    async with stack.client.follow_logs(job["build_id"]) as lines:
        waiting = asyncio.create_task(read_all(lines))
        lines.finish()

        assert [line.output for line in await waiting] == ["one"]


async def test_a_long_log_is_cut_and_says_so(stack: Stack, job: Job) -> None:
    """The beginning, a word, the last lines; all is stored; pages follow each other without gap or repetition."""
    many = LOG_LINES + LAST_LINES + 300
    log = BuildLog(
        await stack.connect("provisioner"), job["workspace"]["id"], job["build_id"], attempt=1, flush=timedelta(0)
    )
    log.add("build", "info", "\n".join(f"line {number}" for number in range(many)))
    await log.end()
    async with stack.client.follow_logs(job["build_id"]) as lines:
        outputs = [line.output for line in await read_all(lines)]
    after, paged = 0, list[str]()
    while (page := await stack.client.logs(job["build_id"], after=after)).has_more:
        paged += [line.output for line in page.lines]
        after = page.lines[-1].seq
    paged += [line.output for line in page.lines]

    assert outputs[:LOG_LINES] == [f"line {number}" for number in range(LOG_LINES)]
    assert outputs[LOG_LINES:-LAST_LINES] == [
        f"… the log is too long and is cut here; its last {LAST_LINES} lines follow at its end",
        "… 300 lines are left out here",
    ]
    assert outputs[-LAST_LINES:] == [f"line {number}" for number in range(many - LAST_LINES, many)]
    assert (paged, page.ended) == (outputs, True)


async def test_an_organization_that_cannot_be_told(stack: Stack, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads by page: what the stream keeps does not depend on it."""
    connection = await stack.connect("provisioner")
    publish = connection.publish

    async def all_but_that(subject: str, *rest: Any, **more: Any) -> None:  # noqa: ANN401  # nats-py's own
        if subject.startswith("ws.org."):
            raise OutboundBufferLimitError
        await publish(subject, *rest, **more)

    monkeypatch.setattr(connection, "publish", all_but_that)
    workspace_id, build_id = job["workspace"]["id"], job["build_id"]
    log = BuildLog(connection, workspace_id, build_id, attempt=1, flush=timedelta(0), tenant=str(uuid4()))
    log.add("build", "info", "one")
    await log.end()
    page = await stack.client.logs(build_id)

    assert [line.output for line in page.lines] == ["one"]


async def test_the_stream_bounds_what_others_send(stack: Stack) -> None:
    """A provisioner without our client cannot fill the disk with one build."""
    config = (await jetstream.request(stack.admin, "STREAM.INFO.LOGS"))["config"]

    assert config["max_msgs_per_subject"] == 100_000
    assert config["max_msg_size"] == 262_144


async def test_who_may_not_follow(stack: Stack, job: Job) -> None:
    """An inspector hears no lines: it is told at once, and reads pages."""
    who = stack.server.credentials.role("inspector")
    async with await WorkspacedClient.connect(
        stack.server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix
    ) as inspector:
        with pytest.raises(Forbidden, match="read it by page") as refused:
            async with inspector.follow_logs(job["build_id"]):
                pass
        again = {each.subject for each in inspector.connection._subs.values()}  # noqa: SLF001  # after a reconnect
        page = await inspector.logs(job["build_id"])

    assert refused.value.code == "forbidden"
    assert subjects.logs_of(job["build_id"]) not in again
    assert page.lines == ()
