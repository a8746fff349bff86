"""Stored messages become inputs: payload, id, time, key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.bus_messages import AGENT, BUILD, CHAT, JOB, NOW, WORKSPACE, a_create, a_job_report, a_stored, an_id
from workspaced.bus import subjects
from workspaced.bus.decode import decode
from workspaced.fsm.effects import ChatDeadline, Due, JobLimit, WorkspaceExpiry
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import AgentConnected, BuildCreated, ConnectionLost, JobChanged, LifecycleChanged
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent

RUNNING = subjects.job_event(WORKSPACE, "running")


def decoded(subject: str, body: dict[str, Any] | bytes, **fields: Any) -> Input:  # noqa: ANN401  # as Stored
    """The input of a message that has one."""
    found = decode(a_stored(subject, body, **fields))
    assert found is not None
    return found


def test_a_job_report() -> None:
    """Status and workspace come from the subject, the rest from the body."""
    payload = decoded(RUNNING, a_job_report(worker="w")).payload

    assert isinstance(payload, WorkspaceEvent)
    assert isinstance(payload.event, JobChanged)
    assert (payload.workspace_id, payload.event.status, payload.event.report.worker) == (WORKSPACE, "running", "w")


def test_a_foreign_build() -> None:
    """`build.created` brings ids of its own."""
    body = {"build_id": BUILD, "build_number": 2, "transition": "start", "job_id": JOB}

    assert (
        WorkspaceEvent(WORKSPACE, BuildCreated(BUILD, 2, "start", JOB))
        == decoded(subjects.build_created(WORKSPACE), body).payload
    )


def test_agents_events() -> None:
    """The subject tells whose they are."""
    connection = {"server_id": "S", "client_id": 4}
    connected = decoded(subjects.agent_event(WORKSPACE, AGENT, "connected"), connection).payload
    lifecycle = decoded(subjects.agent_event(WORKSPACE, AGENT, "lifecycle"), connection | {"state": "ready"}).payload

    assert WorkspaceEvent(WORKSPACE, AgentConnected("S", 4), AGENT) == connected
    assert WorkspaceEvent(WORKSPACE, LifecycleChanged("S", 4, "ready"), AGENT) == lifecycle


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"id": "mine"}, {"Nats-Msg-Id": "header"}, "mine"),
        ({}, {"Nats-Msg-Id": "header"}, "header"),
        ({"id": ""}, {"Nats-Msg-Id": "header"}, "header"),
        ({"id": "x" * 257}, {}, "EVENTS:5"),
        ({}, {"Nats-Msg-Id": "a\tb"}, "EVENTS:5"),
        ({}, {}, "EVENTS:5"),
    ],
)
def test_id(body: dict[str, Any], headers: dict[str, str], expected: str) -> None:
    """The body's id, else the message's, else stream and sequence."""
    assert expected == decoded(RUNNING, a_job_report(**body), headers=headers).id


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, NOW),
        ("2020-01-01T02:00:00.123456789+02:00", datetime(2020, 1, 1, 0, 0, 0, 123457, tzinfo=UTC)),
        (msgspec.to_builtins(NOW + timedelta(minutes=5)), NOW + timedelta(minutes=5)),
        (msgspec.to_builtins(NOW + timedelta(minutes=5, microseconds=1)), NOW),
        ("0001-01-01T00:00:00+02:00", NOW),
    ],
)
def test_at(at: str | None, expected: datetime) -> None:
    """The sender's time in UTC, unless there is none or it is too far ahead of the stream's."""
    assert (expected, NOW) == ((found := decoded(RUNNING, a_job_report(at=at))).at, found.received)


def test_key() -> None:
    """The same for a redelivery, another one for the same sequence of a stream that was wiped and made anew."""
    key = decoded(RUNNING, a_job_report()).key

    assert decoded(RUNNING, a_job_report(), deliveries=3).key == key
    assert decoded(RUNNING, a_job_report(), at=NOW + timedelta(microseconds=1)).key != key


def test_a_command() -> None:
    """It carries what tells repeats apart and where its answer goes."""
    headers = {"Nats-Msg-Id": "m1", "Ws-Reply": "_INBOX_engine.x.1"}
    found = decoded(subjects.command(CHAT, "create"), a_create(), headers=headers)

    assert isinstance(found.payload, Ask)
    assert (found.id, found.payload.command.chat_id, found.payload.reply_to) == ("m1", CHAT, "_INBOX_engine.x.1")


def content(verb: str = "stop", **fields: Any) -> str:  # noqa: ANN401  # any JSON
    """The content of a command with these fields."""
    body = {"chat_id": CHAT, "request_id": "r1"} | fields
    payload = decoded(subjects.command(CHAT, verb), body).payload
    assert isinstance(payload, Ask)
    return payload.content


def test_content_is_that_of_the_json_value() -> None:
    """Neither the order of fields nor the request_id counts; verb and every field do."""
    swapped = decoded(subjects.command(CHAT, "stop"), b'{"request_id":"r2", "chat_id":"%s"}' % CHAT.encode()).payload
    assert isinstance(swapped, Ask)

    assert content() == swapped.content
    assert len({content(), content("delete"), content(actor_id=AGENT), content(unknown=1)}) == 4


@pytest.mark.parametrize("reply", ["ws.cmd.x", "_INBOX.>", "_INBOX.a b", "_INBOX.*"])
def test_only_inboxes_are_answered(reply: str) -> None:
    """No command makes the engine publish anywhere else."""
    payload = decoded(subjects.command(CHAT, "create"), a_create(), headers={"Ws-Reply": reply}).payload

    assert isinstance(payload, Ask)
    assert payload.reply_to is None


@pytest.mark.parametrize(
    ("kind", "due"),
    [
        ("chat", ChatDeadline(CHAT, 3)),
        ("ttl", WorkspaceExpiry(WORKSPACE, NOW)),
        ("job", JobLimit(WORKSPACE, JOB, "running")),
    ],
)
def test_timers(kind: str, due: Due) -> None:
    """What was scheduled comes back as it was."""
    assert due == decoded(subjects.due(kind, due.slot), msgspec.json.encode(due)).payload


def an_advisory(user: str) -> dict[str, Any]:
    """The server's word that a connection of `user` is gone."""
    return {
        "type": "io.nats.server.advisory.v1.client_disconnect",
        "id": "advisory",
        "timestamp": "2026-03-04T05:06:07.1234567Z",
        "server": {"name": "n", "id": "SERVER"},
        "client": {
            "id": 12,
            "user": user,
            "acc": "WS",
            "start": "2026-03-04T05:00:00Z",
            "stop": "2026-03-04T05:06:06Z",
        },
        "reason": "Client Closed",
    }


@pytest.mark.parametrize(("user", "agent_id"), [("agent", None), (an_id(3), an_id(3))])
def test_an_agent_is_gone(user: str, agent_id: str | None) -> None:
    """Agents are known by the common user, or by their own id under auth callout."""
    found = decoded("ws.sys.disconnect", an_advisory(user))

    assert ConnectionLost("SERVER", 12, "Client Closed", agent_id=agent_id) == found.payload
    assert datetime(2026, 3, 4, 5, 6, 6, tzinfo=UTC) == found.at


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("ws.sys.connect", an_advisory("agent")),
        ("ws.sys.disconnect", an_advisory("engine")),
        ("ws.sys.disconnect", an_advisory("")),
    ],
)
def test_nobodys_business(subject: str, body: dict[str, Any]) -> None:
    """Connects, and disconnects of others than agents, change nothing."""
    assert decode(a_stored(subject, body)) is None


@pytest.mark.parametrize(
    ("subject", "body", "reason"),
    [
        (f"ws.event.{WORKSPACE}.job.exploded", b"{}", "unknown_kind"),
        ("ws.event.x.job.running", b"{}", "bad_subject"),
        (subjects.log(WORKSPACE, BUILD), b"{}", "unknown_kind"),
        (RUNNING, b"?", "not_json"),
        (subjects.command(an_id(99), "create"), msgspec.json.encode(a_create()), "bad_body"),
        (subjects.due("chat", an_id(99)), msgspec.json.encode(ChatDeadline(CHAT, 3)), "bad_body"),
        (subjects.due("ttl", CHAT), msgspec.json.encode(ChatDeadline(CHAT, 3)), "bad_body"),
        (
            subjects.agent_event(WORKSPACE, AGENT, "lifecycle"),
            b'{"server_id":"S","client_id":1,"state":"x"}',
            "bad_body",
        ),
        ("ws.sys.disconnect", b"{}", "bad_body"),
    ],
)
def test_undecodable(subject: str, body: bytes, reason: str) -> None:
    """Each kind of nonsense has its word."""
    with pytest.raises(UndecodableMessage) as caught:
        decode(a_stored(subject, body))

    assert reason == caught.value.reason
