"""What anyone may see of a chat (design.md section 4, domain.md section 1, wire.md section 3)."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.builders import CHAT, NOW, ORGANIZATION, OWNER, TEMPLATE, VERSION, a_build, an_agent, an_id, facts_with
from tests.situations import SITUATIONS, a_chat_in
from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import agent_link, agent_link_since
from workspaced.fsm.snapshot import Snapshot, Typical, take_snapshot

FIELDS = {
    "chat_id",
    "version",
    "state",
    "entered_at",
    "deadline_at",
    "waiting_for",
    "workspace",
    "build_id",
    "agent_id",
    "lifecycle",
    "agent",
    "failure",
    "cause",
    "typical",
}


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as it stands on the wire."""
    value: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(snapshot))
    return value


def test_the_snapshot_of_a_ready_chat() -> None:
    """Every field, once."""
    stage = a_chat_in("ready")

    told = as_json(stage.snapshot)

    assert set(told) >= FIELDS
    assert told["workspace"] == {
        "id": stage.workspace.id,
        "name": "docker-0000",
        "owner_id": OWNER,
        "owner_name": "ann",
        "organization_id": ORGANIZATION,
        "template_id": TEMPLATE,
        "template_version_id": VERSION,
        "transition": "start",
        "build_number": 1,
        "job_status": "succeeded",
        "deleted": False,
        "updated_to_active_version": False,
        "job_error": None,
        "next": None,
    }
    assert (told["chat_id"], told["state"], told["version"], told["lifecycle"]) == (CHAT, "ready", 7, "ready")
    assert (told["build_id"], told["agent_id"]) == (stage.build.id, stage.agent.id)
    assert told["agent"] == {
        "name": "main",
        "external": False,
        "link": "connected",
        "link_since": "2026-01-01T12:00:00Z",
    }
    assert told["cause"]["event"] == "agent.lifecycle"
    assert (told["failure"], told["deadline_at"], told["waiting_for"], told["typical"]) == (None, None, None, None)


WAITING_FOR = [
    ("creating", "provisioner"),
    ("building", "build"),
    ("binding", "agents"),
    ("connecting", "agent"),
    ("reconnecting", "agent"),
    ("starting", "startup_scripts"),
    ("stopping", "stop"),
    ("restarting", "stop"),
    ("stopping_then_delete", "stop"),
    ("deleting", "delete"),
    ("stopped", None),
    ("deleted", None),
    ("no_workspace", None),
    ("ready", None),
    ("build_timeout", None),
]


@pytest.mark.parametrize(("situation", "waiting_for"), WAITING_FOR)
def test_what_it_waits_for(situation: str, waiting_for: str | None) -> None:
    """In failed and ready it waits for nothing."""
    assert a_chat_in(situation).snapshot.waiting_for == waiting_for


def test_a_restart_tells_what_follows() -> None:
    """`next` stands in the workspace."""
    workspace = a_chat_in("restarting").snapshot.workspace

    assert workspace is not None
    assert workspace.next == "start"


@pytest.mark.parametrize("situation", list(SITUATIONS))
def test_the_pushed_snapshot_is_the_one_that_get_shows(situation: str) -> None:
    """At the moment of the last transition both are the same."""
    stage = a_chat_in(situation)
    rows = [row for row in stage.history if row.chat_id == stage.chat_id]

    pushed = msgspec.json.decode(rows[-1].snapshot, type=Snapshot)

    shown = take_snapshot(stage.chat, stage.world().facts_of(stage.chat), rows[-1].at, timedelta(minutes=2))
    assert pushed == shown


def test_a_chat_without_a_workspace() -> None:
    """Everything about workspace, build and agent is null."""
    snapshot = a_chat_in("no_workspace").snapshot

    assert (snapshot.workspace, snapshot.build_id, snapshot.agent_id, snapshot.agent) == (None, None, None, None)


def test_updated_to_the_active_version() -> None:
    """The latest build's version differs from the build's before it, both known."""
    for prior, expected in ((None, False), (VERSION, False), (an_id(77), True)):
        build = a_build(template_version_id=VERSION, prior_version_id=prior)
        snapshot = take_snapshot(Chat(CHAT, OWNER, "ann", ORGANIZATION), facts_with(build), NOW, timedelta(0))
        assert snapshot.workspace is not None
        assert snapshot.workspace.updated_to_active_version is expected


def test_how_long_it_usually_takes() -> None:
    """For this template and state, told by whoever counts."""
    stage = a_chat_in("building")
    world = stage.world()
    world.typical = lambda template, state: Typical(len(template), len(state))

    assert world.snapshot(stage.chat).typical == Typical(36, 8)


LINKS = [
    ({}, 0, "connecting", 0),
    ({}, 120, "connecting", 0),
    ({}, 121, "timeout", 120),
    ({"connection_timeout_seconds": 5}, 6, "timeout", 5),
    ({"connection_timeout_seconds": 0}, 9999, "connecting", 0),
    ({"last_connected_at": NOW + timedelta(seconds=9)}, 9999, "connected", 9),
    (
        {"last_connected_at": NOW + timedelta(seconds=9), "disconnected_at": NOW + timedelta(seconds=9)},
        9999,
        "disconnected",
        9,
    ),
    ({"last_connected_at": NOW + timedelta(seconds=300)}, 301, "connected", 300),
]


@pytest.mark.parametrize(("fields", "seconds", "link", "since"), LINKS)
def test_the_link_is_computed(fields: dict[str, Any], seconds: int, link: str, since: int) -> None:
    """From facts and now (domain.md 6.2); times compare strictly."""
    agent, now = replace(an_agent(), **fields), NOW + timedelta(seconds=seconds)

    assert agent_link(agent, now, timedelta(minutes=2)) == link
    assert agent_link_since(agent, now, timedelta(minutes=2)) == NOW + timedelta(seconds=since)


def test_without_a_default_a_link_never_times_out() -> None:
    """0: never `timeout`."""
    assert agent_link(an_agent(), NOW + timedelta(days=9), timedelta(0)) == "connecting"
