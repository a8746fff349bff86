"""Dead letters: what nobody can use stops nobody else, and can be sent again or dropped."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from nats.js.errors import NotFoundError

from tests.e2e.by_hand import as_admin
from tests.e2e.stack import Stack
from workspaced.app.redrive import Done, drop, redrive, refusal
from workspaced.bus import subjects
from workspaced.bus.moments import Moments
from workspaced.fsm.apply import apply
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.inputs import Input
from workspaced.fsm.world import World

APPLY = "workspaced.app.batch.apply"
"""The core, where a test makes it stumble."""
GOOD = 100
MOST_TRIES = 2 * (GOOD + 1).bit_length()
"""Halving tries each part once, and only the parts with the poison are halved again."""


async def letters(stack: Stack) -> list[tuple[str, str]]:
    """(original subject, reason) of each dead letter."""
    return [
        (kept.subject.removeprefix("ws.dead."), kept.headers["Ws-Dead-Reason"]) for kept in await stack.stored("DEAD")
    ]


async def put_aside(stack: Stack, subject: str, body: bytes) -> int:
    """Publish what an engine cannot use, and wait until it is in DEAD; its sequence there."""
    dead = await stack.admin.subscribe(f"ws.dead.{subject}", max_msgs=1)
    await stack.admin.jetstream().publish(subject, body)
    await dead.next_msg(timeout=30)
    await stack.decided()
    return (await stack.admin.jetstream().stream_info("DEAD")).state.last_seq


# --- what stops nobody else -------------------------------------------------------------------------------------------


async def test_a_poisoned_input_among_many(stack: Stack) -> None:
    """An input that the store refuses is put aside alone, after a few tries; a hundred others in its batch go on."""
    engine = await stack.engine()
    chats = [str(uuid4()) for _ in range(GOOD + 1)]
    replies = await asyncio.gather(*map(stack.create, chats))
    jobs = {reply.build_id: await stack.provisioner.job(reply.build_id) for reply in replies}
    poisoned = jobs[replies[GOOD // 2].build_id]
    theirs = await stack.provisioner.bring_up(jobs[replies[0].build_id])
    await stack.pushes.until(chats[0], "ready")
    for job in jobs.values():
        await stack.provisioner.tell(job, "running")
    await asyncio.gather(*(stack.pushes.until(chat, "building") for chat in chats))
    await stack.stop(engine)
    for job in jobs.values():  # an agent of another workspace: only the store sees that it is taken
        agent_id = theirs.id if job is poisoned else str(uuid4())
        await stack.provisioner.tell(job, "succeeded", agents=[{"id": agent_id, "name": "main"}])

    tries: list[None] = []
    moments = Moments()
    moments.at["after_load"] = _counting(tries)
    await stack.engine(moments)
    others = [chat for chat, reply in zip(chats, replies, strict=True) if reply.build_id != poisoned["build_id"]]
    await asyncio.gather(*(stack.pushes.until(chat, "connecting") for chat in others))
    await stack.decided()

    assert await letters(stack) == [(f"ws.event.{poisoned['workspace']['id']}.job.succeeded", "refused_by_store")]
    assert 2 < len(tries) <= MOST_TRIES
    assert (await stack.client.get(chats[GOOD // 2])).state == "building"


async def test_an_input_that_the_core_stumbles_over(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is put aside like a refused one; whoever waits for the answer gets one, and others go on."""
    poisoned, good = str(uuid4()), str(uuid4())

    def stumble(world: World, item: Input) -> None:
        if poisoned in item.subject:
            raise ZeroDivisionError
        apply(world, item)

    monkeypatch.setattr(APPLY, stumble)
    for chat in (poisoned, good):
        await stack.put_command("create", stack.a_create(chat))
    await stack.engine()

    await stack.pushes.until(good, "creating")
    await stack.decided()
    assert await letters(stack) == [(f"ws.cmd.{poisoned}.create", "refused_by_store")]


def _counting(tries: list[None]) -> Callable[[], Awaitable[None]]:
    async def count() -> None:
        tries.append(None)

    return count


# --- sent again -------------------------------------------------------------------------------------------------------


async def test_redriven_once_the_cause_is_mended(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original body goes to the original subject as a new message, is decided, and leaves DEAD."""
    chat = str(uuid4())

    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(APPLY, stumble)
    engine = await stack.engine()
    command = stack.a_create(chat)
    subject = subjects.command(chat, "create")
    heard = await stack.admin.subscribe(f"ws.dead.{subject}", max_msgs=1)
    await stack.put_command("create", command)
    await heard.next_msg(timeout=30)
    await stack.stop(engine)
    monkeypatch.setattr(APPLY, apply)
    await stack.engine()

    done = await redrive(stack.admin, 1)

    await stack.pushes.until(chat, "creating")
    first, second = [kept for kept in await stack.stored("EVENTS") if kept.subject == subject]
    assert done == Done(1, "redriven", subject)
    assert second.json() == first.json() == {"request_id": command["request_id"]} | command
    assert set(second.headers) == {"Nats-Msg-Id", "Ws-Redriven"}
    assert await letters(stack) == []


async def test_redriven_and_still_of_no_use(stack: Stack) -> None:
    """It comes back as another dead letter, which can be redriven again: it is no duplicate of itself."""
    await stack.engine()
    subject = subjects.job_event(str(uuid4()), "running")
    first = await put_aside(stack, subject, b"{")

    again = []
    for sequence in (first, first + 1):
        heard = await stack.admin.subscribe(f"ws.dead.{subject}", max_msgs=1)
        again.append(await redrive(stack.admin, sequence))
        await heard.next_msg(timeout=30)
        await stack.decided()

    assert [done.outcome for done in again] == ["redriven", "redriven"]
    assert await letters(stack) == [(subject, "not_json")]
    assert (await stack.admin.jetstream().stream_info("DEAD")).state.last_seq == first + 2


async def test_redriven_by_one_who_died_halfway(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent and not removed: doing it again sends nothing twice and removes it."""
    engine = await stack.engine()
    subject = subjects.job_event(str(uuid4()), "running")
    sequence = await put_aside(stack, subject, b"{")
    await stack.stop(engine)

    async def dies(*_: object) -> bool:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr("workspaced.app.redrive.remove", dies)
        with pytest.raises(Unavailable):
            await redrive(stack.admin, sequence)
    done = await redrive(stack.admin, sequence)

    assert done.outcome == "redriven"
    assert len([kept for kept in await stack.stored("EVENTS") if kept.subject == subject]) == 2
    assert await letters(stack) == []


async def test_what_only_the_server_may_say(stack: Stack) -> None:
    """An advisory is not sent again: it stays until it is dropped."""
    await stack.engine()
    await put_aside(stack, "ws.sys.disconnect", b"{")

    refused = await redrive(stack.admin, 1)

    assert (refused.outcome, refused.subject) == ("refused", "ws.sys.disconnect")
    assert "only the NATS server" in (refused.detail or "")
    assert await letters(stack) == [("ws.sys.disconnect", "not_json")]


SOME_ID = "6f1c2d9a-4b7e-4c58-9a3d-2e8b5f7c1d04"  # the same for every worker, which must collect the same tests


@pytest.mark.parametrize(
    ("subject", "may"),
    [
        (subjects.command(SOME_ID, "stop"), True),
        (subjects.job_event(SOME_ID, "failed"), True),
        (subjects.due("chat", SOME_ID), True),
        ("ws.sys.disconnect", False),
        ("ws.event._.job.running", False),
        (subjects.timer("chat", SOME_ID), False),
        (subjects.chat(SOME_ID, "ready"), False),
    ],
)
def test_what_may_be_sent_again(subject: str, *, may: bool) -> None:
    """What engines take from others, and wake-ups; never a schedule, nor what the server or an engine says."""
    assert (refusal(subject) is None) is may


# --- dropped ----------------------------------------------------------------------------------------------------------


async def test_dropped(stack: Stack) -> None:
    """It is gone, the next one stays, and dropping or redriving it again says that it is not there."""
    await stack.engine()
    subject = subjects.job_event(str(uuid4()), "running")
    first = await put_aside(stack, subject, b"{")
    second = await put_aside(stack, subject, b"[")

    dropped = await drop(stack.admin, first)
    again = [await drop(stack.admin, first), await redrive(stack.admin, first)]

    assert dropped == Done(first, "dropped", subject)
    assert [done.outcome for done in again] == ["not_found", "not_found"]
    with pytest.raises(NotFoundError):
        await stack.admin.jetstream().get_msg("DEAD", first)
    assert (await stack.admin.jetstream().get_msg("DEAD", second)).data == b"["


# --- by hand ----------------------------------------------------------------------------------------------------------


async def test_the_commands(stack: Stack) -> None:
    """List, show, redrive and drop answer with JSON; without --yes they ask, and nobody answers here."""
    await stack.engine()
    subject = subjects.job_event(str(uuid4()), "running")
    sequence = str(await put_aside(stack, subject, b"{"))
    await put_aside(stack, "ws.sys.disconnect", b"[")
    cli = as_admin(stack)

    listed = await asyncio.to_thread(cli.json, "dead", "list")
    shown = await asyncio.to_thread(cli.json, "dead", "show", sequence)
    words = await asyncio.to_thread(cli.lines, "dead", "show", "2")
    asked = await asyncio.to_thread(cli.run, "dead", "drop", sequence)
    dropped = await asyncio.to_thread(cli.json, "dead", "drop", "--yes", sequence)
    refused = await asyncio.to_thread(cli.run, "dead", "redrive", "--yes", "--json", "2", "9")
    gone = await asyncio.to_thread(cli.run, "dead", "show", sequence)

    assert [letter["seq"] for letter in listed["messages"]] == [1, 2]
    assert (shown["subject"], shown["reason"], shown["body"]) == (subject, "not_json", "{")
    assert any(line.startswith("redrive") and "only the NATS server" in line for line in words)
    assert (asked.returncode, asked.stdout) == (130, "")
    assert "Drop message 1 for good?" in asked.stderr
    assert dropped == {"messages": [{"seq": 1, "outcome": "dropped", "subject": subject, "detail": None}]}
    assert refused.returncode == 1
    assert [one["outcome"] for one in json.loads(refused.stdout)["messages"]] == ["refused", "not_found"]
    assert (gone.returncode, gone.stdout) == (4, "")
    assert "there is no dead letter 1" in gone.stderr
