"""Subjects: parsing is the inverse of building, and nothing illegal is built or parsed."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bus_messages import AGENT, CHAT, WORKSPACE
from workspaced.bus import streams, subjects, tokens
from workspaced.bus.subject_parser import (
    AgentEventSubject,
    BuildCreatedSubject,
    CancelSubject,
    ChatSubject,
    CommandSubject,
    DeadSubject,
    DueSubject,
    JobEventSubject,
    JobSubject,
    LogSubject,
    PingSubject,
    ResyncSubject,
    parse,
)
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import BadRequest, UndecodableMessage
from workspaced.fsm.state import State

ids = st.uuids().map(str)
tags = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
built = st.one_of(
    st.tuples(st.just(subjects.command), st.just(CommandSubject), ids, st.sampled_from(list(COMMANDS))),
    st.tuples(st.just(subjects.build_created), st.just(BuildCreatedSubject), ids),
    st.tuples(
        st.just(subjects.job_event),
        st.just(JobEventSubject),
        ids,
        st.sampled_from(sorted(tokens.JOB_STATUSES)),
    ),
    st.tuples(
        st.just(subjects.job_event),
        st.just(JobEventSubject),
        ids,
        st.sampled_from(sorted(tokens.JOB_STATUSES)),
        tags,
    ),
    st.tuples(
        st.just(subjects.agent_event),
        st.just(AgentEventSubject),
        ids,
        ids,
        st.sampled_from(sorted(tokens.AGENT_KINDS)),
    ),
    st.tuples(st.just(subjects.due), st.just(DueSubject), st.sampled_from(sorted(tokens.TIMER_KINDS)), ids),
    st.tuples(st.just(subjects.job), st.just(JobSubject), tags, ids),
    st.tuples(st.just(subjects.cancel), st.just(CancelSubject), ids),
    st.tuples(st.just(subjects.resync), st.just(ResyncSubject), ids),
    st.tuples(st.just(subjects.resync), st.just(ResyncSubject)),
    st.tuples(st.just(subjects.log), st.just(LogSubject), ids, ids),
    st.tuples(st.just(subjects.chat), st.just(ChatSubject), ids, st.sampled_from(sorted(State))),
    st.tuples(st.just(subjects.ping), st.just(PingSubject), ids),
)


@given(built)
def test_parse_is_the_inverse_of_building(
    case: tuple[Callable[..., str], Callable[..., object], *tuple[str, ...]],
) -> None:
    """Every subject parses to the fields it was built from."""
    build, kind, *fields = case

    assert kind(*fields) == parse(build(*fields))


@given(built)
def test_dead_keeps_the_original(case: tuple[Callable[..., str], Callable[..., object], *tuple[str, ...]]) -> None:
    """A dead letter's subject names the subject it came on."""
    build, _, *fields = case

    assert DeadSubject(build(*fields)) == parse(subjects.dead(build(*fields)))


@given(st.text())
def test_parse_is_total(text: str) -> None:
    """Any text is a subject of ours, which hypothesis may guess, or refused with one of the two reasons."""
    try:
        parsed: object = parse(text)
    except UndecodableMessage as refused:
        parsed = refused.reason

    assert parsed in {"bad_subject", "unknown_kind"} or not isinstance(parsed, str)


@given(st.text())
def test_dead_is_total_and_legal(text: str) -> None:
    """Whatever subject a message came on, there is a subject for its dead letter."""
    tokens = subjects.dead(text).split(".")

    assert not [token for token in tokens if not token or set(token) & set(" *>\r\n\t\0")]


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (f"ws.event.{WORKSPACE}.job.exploded", "unknown_kind"),
        (f"ws.event.{WORKSPACE}.agent.{AGENT}.sneezed", "unknown_kind"),
        (f"ws.event.{WORKSPACE}.build.destroyed", "unknown_kind"),
        (f"ws.event.{WORKSPACE}.job.running.local.twice", "unknown_kind"),
        (f"ws.cmd.{CHAT}.explode", "unknown_kind"),
        ("ws.sys.reboot", "unknown_kind"),
        ("ws.nothing", "unknown_kind"),
        ("ws", "unknown_kind"),
        ("", "unknown_kind"),
        ("ws.dead", "unknown_kind"),
        ("ws.event.not-a-uuid.job.running", "bad_subject"),
        (f"ws.event.{WORKSPACE}.agent.7.connected", "bad_subject"),
        (f"ws.cmd.{str(UUID(int=2**128 - 1)).upper()}.create", "bad_subject"),
        ("ws.due.chat.x", "bad_subject"),
        (f"ws.job.Local!.{WORKSPACE}", "bad_subject"),
    ],
)
def test_refused(subject: str, reason: str) -> None:
    """An id that is none and a word that nobody knows are told apart."""
    with pytest.raises(UndecodableMessage) as caught:
        parse(subject)

    assert reason == caught.value.reason


@pytest.mark.parametrize(
    "bad", ["", "*", ">", "a.b", CHAT.upper().replace("0", "A"), f"{CHAT}\n", f" {CHAT}", "x" * 36]
)
def test_no_bad_id_becomes_a_token(bad: str) -> None:
    """What is no canonical UUID is refused before it reaches a subject, and the field is named."""
    with pytest.raises(BadRequest) as caught:
        subjects.chat_all(bad)

    assert caught.value.field == "chat_id"


@pytest.mark.parametrize("bad", ["", "*", ">", f"{CHAT}.x", CHAT.upper().replace("0", "A")])
def test_no_bad_organization_becomes_a_token(bad: str) -> None:
    """Nor is one read from a subject."""
    for build in (partial(subjects.api, "get"), partial(subjects.chat_all, CHAT), subjects.all_chats):
        with pytest.raises(BadRequest):
            build(bad)
    with pytest.raises(BadRequest):
        subjects.tenant_of(f"ws.org.{bad.replace('.', '')}.api.get")


def test_subjects_of_an_organization() -> None:
    """Requests and announcements have its id in front."""
    built = [subjects.api("get", CHAT), subjects.chat(CHAT, "ready", CHAT), subjects.chat_all(CHAT, CHAT)]

    assert subjects.log(WORKSPACE, AGENT, CHAT) == f"ws.org.{CHAT}.log.{WORKSPACE}.{AGENT}"
    assert subjects.logs_of(AGENT, CHAT) == f"ws.org.{CHAT}.log.*.{AGENT}"
    assert [*built, subjects.all_chats(CHAT)] == [
        f"ws.org.{CHAT}.api.get",
        f"ws.org.{CHAT}.chat.{CHAT}.ready",
        f"ws.org.{CHAT}.chat.{CHAT}.>",
        f"ws.org.{CHAT}.chat.>",
    ]
    assert subjects.tenant_of(built[0]) == CHAT
    assert streams.stream_of(built[1]) is None


@pytest.mark.parametrize("bad", ["", "Local", "a.b", "*", "x" * 65, "lo cal", "local\n"])
def test_no_bad_tag_becomes_a_token(bad: str) -> None:
    """A provisioner's tag is letters, digits and dashes."""
    with pytest.raises(BadRequest):
        subjects.jobs_of(bad)


@pytest.mark.parametrize("bad", ["explode", "create.x", "", "*"])
def test_no_unknown_verb(bad: str) -> None:
    """A verb that the service does not know has no subject."""
    with pytest.raises(BadRequest):
        subjects.api(bad)
