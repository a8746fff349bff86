"""Rows become messages: bodies, ids, headers, order."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from tests.bus_messages import BUILD, CHAT, JOB, NOW, ORGANIZATION, WORKSPACE, a_row, a_snapshot, a_stored
from workspaced.bus.announce import effect_message, messages_of, push_message
from workspaced.bus.dead import dead_message
from workspaced.bus.headers import one_line
from workspaced.bus.messages import CancelJob, Push, Resync
from workspaced.fsm.chat import Cause
from workspaced.fsm.effects import (
    AskAgents,
    ChatDeadline,
    Job,
    JobLimit,
    JobOwner,
    JobTemplate,
    JobWorkspace,
    PublishJob,
    PurgeJob,
    SetTimer,
    StopJob,
    WorkspaceExpiry,
)
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.rows import InputRow
from workspaced.fsm.state import State

PUBLISH_JOB = PublishJob(
    "local",
    Job(
        id="j",
        at=NOW,
        job_id=JOB,
        build_id=BUILD,
        build_number=1,
        transition="start",
        workspace=JobWorkspace(WORKSPACE, "red-fox", None),
        owner=JobOwner(CHAT, "ada"),
        organization_id=ORGANIZATION,
        template=JobTemplate(CHAT, "go", None, msgspec.Raw(b'{"script":"true"}')),
        parameters={},
        preset_id=None,
        prior_build_id=None,
    ),
)


def test_a_push() -> None:
    """It is wire.md's body on the subject of the state, with CloudEvents' attributes."""
    message = push_message(a_row(3, State.CREATING), traceparent="00-x")
    push = msgspec.json.decode(message.body, type=Push)

    assert message.subject == f"ws.chat.{CHAT}.creating"
    assert message.headers == {
        "Nats-Msg-Id": f"{CHAT}:3",
        "ce-specversion": "1.0",
        "ce-id": f"{CHAT}:3",
        "ce-type": "workspaced.chat.creating",
        "ce-source": "workspaced",
        "ce-time": "2026-03-04T05:06:07.000890Z",
        "traceparent": "00-x",
    }
    assert push == Push(
        id=f"{CHAT}:3",
        at=NOW,
        chat_id=CHAT,
        version=3,
        from_state=State.IDLE,
        to_state=State.CREATING,
        cause=Cause("create", "m1", NOW),
        snapshot=a_snapshot(3, State.CREATING),
    )


def test_a_push_has_the_fields_of_the_wire() -> None:
    """`from` and `to`, not Python's names for them."""
    body = msgspec.json.decode(push_message(a_row()).body)

    assert list(body) == ["id", "at", "chat_id", "version", "from", "to", "cause", "snapshot"]


def test_a_job() -> None:
    """It waits in its tag's queue, once per build."""
    message = effect_message(PUBLISH_JOB, NOW)

    assert message.headers is not None
    assert (f"ws.job.local.{JOB}", f"{WORKSPACE}:{BUILD}") == (message.subject, message.headers["Nats-Msg-Id"])
    assert msgspec.json.decode(message.body)["template"]["source"] == {"script": "true"}


def test_a_timer() -> None:
    """It is a schedule in the slot, aimed at the slot's due subject."""
    message = effect_message(SetTimer(NOW, ChatDeadline(CHAT, 3)), NOW)

    assert message.headers is not None
    assert message.subject == f"ws.timer.chat.{CHAT}"
    assert message.headers["Nats-Schedule"] == "@at 2026-03-04T05:06:07.000890Z"
    assert message.headers["Nats-Schedule-Target"] == f"ws.due.chat.{CHAT}"


def test_timers_are_told_apart() -> None:
    """Another moment, version, kind or status is another message; the same effect is the same one."""
    later = NOW + timedelta(microseconds=1)
    timers = [
        SetTimer(NOW, ChatDeadline(CHAT, 3)),
        SetTimer(later, ChatDeadline(CHAT, 3)),
        SetTimer(NOW, ChatDeadline(CHAT, 4)),
        SetTimer(NOW, WorkspaceExpiry(CHAT, NOW)),
        SetTimer(later, WorkspaceExpiry(CHAT, later)),
        SetTimer(NOW, JobLimit(WORKSPACE, CHAT, "pending")),
        SetTimer(NOW, JobLimit(WORKSPACE, CHAT, "running")),
    ]
    ids = [(effect_message(timer, NOW).headers or {})["Nats-Msg-Id"] for timer in timers]

    assert len(set(ids)) == len(timers)
    assert ids == [(effect_message(timer, later).headers or {})["Nats-Msg-Id"] for timer in timers]


def test_plain_effects() -> None:
    """Stopping and asking are plain messages that no stream keeps."""
    stop = effect_message(StopJob(JOB, BUILD, WORKSPACE, "limit"), NOW)
    ask = effect_message(AskAgents(WORKSPACE), NOW)

    assert (f"ws.cancel.{JOB}", False) == (stop.subject, stop.answered)
    assert msgspec.json.decode(stop.body, type=CancelJob) == CancelJob(JOB, BUILD, WORKSPACE, "limit")
    assert (f"ws.resync.{WORKSPACE}", False) == (ask.subject, ask.answered)
    assert msgspec.json.decode(ask.body, type=Resync) == Resync(NOW)


def test_a_purge() -> None:
    """Only that job leaves the queue."""
    message = effect_message(PurgeJob("local", JOB), NOW)

    assert message.subject == "$JS.API.STREAM.PURGE.JOBS"
    assert msgspec.json.decode(message.body) == {"filter": f"ws.job.local.{JOB}"}


def test_order() -> None:
    """Rows in their order, each row's effects before its push, then those of inputs."""
    rows = [a_row(1, State.CREATING, effects=(PUBLISH_JOB,)), a_row(2, State.BUILDING)]
    given = [InputRow(key="EVENTS/e/1", at=NOW, effects=(AskAgents(WORKSPACE),))]

    assert [
        f"ws.job.local.{JOB}",
        f"ws.chat.{CHAT}.creating",
        f"ws.chat.{CHAT}.building",
        f"ws.resync.{WORKSPACE}",
    ] == [message.subject for message in messages_of(rows, given)]


def test_a_push_goes_to_its_organization_ahead_of_the_one_that_is_kept() -> None:
    """The same message; nobody confirms it, but the one behind it is, on the same connection."""
    rows = [a_row(1, State.CREATING), replace(a_row(1, State.IDLE), chat_id=JOB)]

    limited, kept, others = messages_of(rows, organizations={CHAT: BUILD})

    assert limited == replace(kept, subject=f"ws.org.{BUILD}.chat.{CHAT}.creating", answered=False)
    assert others.subject == f"ws.chat.{JOB}.idle"


def test_a_dead_letter() -> None:
    """The body as it came, and why nobody could use it, in one line."""
    stored = a_stored("ws.event.x.y", b"\xff?")
    message = dead_message(stored, UndecodableMessage("bad_subject", "x\r\nis no id"))

    assert (message.subject, message.body) == ("ws.dead.ws.event.x.y", b"\xff?")
    assert message.headers == {
        "Nats-Msg-Id": stored.key,
        "Ws-Dead-Reason": "bad_subject",
        "Ws-Dead-Detail": "x is no id",
        "Ws-Dead-Stream": "EVENTS",
        "Ws-Dead-Sequence": "5",
    }


@pytest.mark.parametrize("text", ["a\r\nb", "a\0b", "ä", "x" * 1000, "", "\x85\u2028"])
def test_header_values_are_one_line_of_ascii(text: str) -> None:
    """No text breaks out of its header."""
    line = one_line(text)

    assert line.isascii()
    assert len(line) <= 512
    assert line.isprintable()
