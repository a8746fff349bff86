"""attach and unreachable, row by row of domain.md 2.5; touch (wire.md section 2)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.builders import ANOTHER_CHAT, ANOTHER_ORGANIZATION, CHAT, STRANGER, an_id
from tests.situations import a_chat_in, a_stage_with_ttl
from tests.stage import Stage
from workspaced.fsm.commands import Owner
from workspaced.fsm.effects import WorkspaceExpiry
from workspaced.fsm.state import State


def a_second_chat_beside(situation: str) -> Stage:
    """A stage whose first chat stands there, and whose commands are about a second chat without a row."""
    stage = a_chat_in(situation)
    stage.chat_id = ANOTHER_CHAT
    return stage


WALKS = [
    ("creating", ["creating"]),
    ("building", ["creating", "building"]),
    ("canceling", ["creating", "building"]),
    ("binding", ["creating", "building", "binding"]),
    ("connecting", ["creating", "building", "binding", "connecting"]),
    ("starting", ["creating", "building", "binding", "connecting", "starting"]),
    ("ready", ["creating", "building", "binding", "connecting", "starting", "ready"]),
    ("build_failed", ["creating", "building", "failed"]),
    ("failed_untaken", ["creating", "failed"]),
    ("selection_error", ["creating", "building", "binding", "failed"]),
    ("startup_failed", ["creating", "building", "binding", "connecting", "starting", "failed"]),
    ("long_disconnected", ["creating", "building", "binding", "connecting"]),
    ("stopped", ["idle"]),
    ("stopping", ["idle"]),
]


@pytest.mark.parametrize("by", ["workspace_id", "from_chat_id"])
@pytest.mark.parametrize(("situation", "states"), WALKS)
def test_it_walks_to_where_the_workspace_stands(situation: str, states: list[str], by: str) -> None:
    """Every state on the way is pushed, with consecutive versions, one time and one cause."""
    stage = a_second_chat_beside(situation)
    parent = stage.chats[CHAT]

    step = stage.attach(**{by: parent.workspace_id if by == "workspace_id" else CHAT})

    assert step.outcome == "accepted"
    assert [row.to_state.value for row in step.transitions] == states
    assert [row.version for row in step.transitions] == list(range(1, len(states) + 1))
    assert len({(row.at, row.cause) for row in step.transitions}) == 1
    assert stage.chat.workspace_id == parent.workspace_id
    assert stage.chat.parent_chat_id == (CHAT if by == "from_chat_id" else None)
    assert stage.chats[CHAT] == parent


@pytest.mark.parametrize("situation", ["ready", "starting", "connecting", "stopped"])
def test_a_child_has_its_parents_triple(situation: str) -> None:
    """Workspace, build and agent are the parent's as committed at that moment."""
    stage = a_second_chat_beside(situation)

    stage.attach(from_chat_id=CHAT)

    parent, child = stage.chats[CHAT], stage.chat
    assert (child.workspace_id, child.build_id, child.agent_id) == (
        parent.workspace_id,
        parent.build_id,
        parent.agent_id,
    )


def test_a_child_gets_its_parents_owner() -> None:
    """Owner and organization are copied, whatever the request says."""
    stage = a_second_chat_beside("ready")

    stage.attach(from_chat_id=CHAT, owner=Owner(STRANGER, "eve"))

    assert (stage.chat.owner_id, stage.chat.owner_name) == (stage.chats[CHAT].owner_id, "ann")


@pytest.mark.parametrize("situation", ["no_workspace", "deleted"])
def test_a_child_of_a_chat_without_workspace_is_idle(situation: str) -> None:
    """It gets a row all the same."""
    stage = a_second_chat_beside(situation)

    step = stage.attach(from_chat_id=CHAT)

    assert (step.outcome, step.moves) == ("accepted", [(State.IDLE, State.IDLE)])
    assert (stage.chat.version, stage.chat.workspace_id) == (1, None)


def test_a_child_lives_by_its_workspace() -> None:
    """A later change of the parent's binding does not reach it."""
    stage = a_second_chat_beside("long_disconnected")
    stage.attach(from_chat_id=CHAT)
    workspace = stage.workspace.id
    stage.chat_id = CHAT

    stage.create()

    assert stage.chats[ANOTHER_CHAT].workspace_id == workspace
    assert stage.chats[CHAT].workspace_id != workspace


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"from_chat_id": an_id(4711)}, (404, "parent_not_found", "from_chat_id"), "parent chat is not known"),
        (
            {"from_chat_id": CHAT, "owner": Owner(STRANGER, "eve"), "actor_id": STRANGER},
            (404, "parent_not_found", "from_chat_id"),
            "parent chat is not known",
        ),
        (
            {"workspace_id": an_id(4711)},
            (400, "workspace_not_found", "workspace_id"),
            "Workspace not found or you do not have access to this resource",
        ),
        ({}, (400, "bad_request", "workspace_id"), None),
        ({"workspace_id": an_id(1), "from_chat_id": CHAT}, (400, "bad_request", "workspace_id"), None),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: tuple[int, str, str], text: str | None) -> None:
    """An unknown or a stranger's parent, an unknown workspace, and both or neither."""
    stage = a_second_chat_beside("ready")

    answer = stage.attach(**fields).answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code, answer.error.field) == code
    assert text in {None, answer.error.error}
    assert ANOTHER_CHAT not in stage.chats


def test_a_deleted_workspace_is_not_found() -> None:
    """It is gone for everybody."""
    stage = a_second_chat_beside("deleted")

    assert stage.attach(workspace_id=stage.facts_of(stage.chats[CHAT].workspace_id or "").workspace.id).answer.error


def test_a_strangers_workspace_is_not_found() -> None:
    """The error does not tell that it exists."""
    stage = a_second_chat_beside("ready")

    answer = stage.attach(workspace_id=stage.chats[CHAT].workspace_id, owner=Owner(STRANGER, "eve")).answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code) == (400, "workspace_not_found")


def test_a_workspace_of_another_organization() -> None:
    """It is the owner's, so the error may tell."""
    stage = a_second_chat_beside("ready")

    answer = stage.attach(workspace_id=stage.chats[CHAT].workspace_id, organization_id=ANOTHER_ORGANIZATION).answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code) == (400, "wrong_organization")
    assert answer.error.error == "Workspace does not belong to the specified organization."


@pytest.mark.parametrize("by", ["workspace_id", "from_chat_id"])
@pytest.mark.parametrize("situation", ["ready", "building", "stopped", "build_failed"])
def test_the_same_workspace_exists(situation: str, by: str) -> None:
    """Attached once more, nothing is done."""
    stage = a_second_chat_beside(situation)
    fields = {by: stage.chats[CHAT].workspace_id if by == "workspace_id" else CHAT}
    stage.attach(**fields)

    step = stage.attach(**fields)

    assert (step.outcome, step.moves) == ("exists", [])


@dataclass
class Two:
    """Two chats, each with a workspace."""

    stage: Stage
    target: str


def two_workspaces(own: str) -> Two:
    """The chat stands in `own`; another chat of its owner has a ready workspace."""
    stage = Stage(chat_id=ANOTHER_CHAT)
    a_chat_in("ready", stage=stage)
    target = stage.workspace.id
    stage.chat_id, stage.client_id = CHAT, 100
    return Two(a_chat_in(own, stage=stage), target)


@pytest.mark.parametrize("by", ["workspace_id", "from_chat_id"])
@pytest.mark.parametrize("own", ["creating", "building", "binding", "connecting", "starting"])
def test_a_chat_that_waits_on_another_workspace_conflicts(own: str, by: str) -> None:
    """Its own wait goes on."""
    two = two_workspaces(own)
    before = two.stage.chat

    step = two.stage.attach(**{by: two.target if by == "workspace_id" else ANOTHER_CHAT})

    assert step.outcome == "conflict"
    assert two.stage.chat == before


@pytest.mark.parametrize("own", ["ready", "stopped", "deleted", "build_failed", "startup_timeout", "no_workspace"])
def test_a_chat_that_rests_moves_to_another_workspace(own: str) -> None:
    """Its former workspace is not touched."""
    two = two_workspaces(own)
    former = two.stage.chat.workspace_id
    version = two.stage.chat.version

    step = two.stage.attach(workspace_id=two.target)

    assert (step.outcome, step.jobs) == ("accepted", [])
    assert (two.stage.state, two.stage.chat.workspace_id) == (State.READY, two.target)
    assert two.stage.chat.agent_id == two.stage.chats[ANOTHER_CHAT].agent_id
    assert step.transitions[0].version == version + 1
    assert former is None or former in two.stage.workspaces


def test_one_chat_moves_all_chats_of_the_workspace() -> None:
    """A delete by one is the cause of all."""
    stage = a_second_chat_beside("ready")
    stage.attach(from_chat_id=CHAT)

    step = stage.delete()

    assert {(row.chat_id, row.to_state, row.cause.event) for row in step.transitions} == {
        (CHAT, State.IDLE, "delete"),
        (ANOTHER_CHAT, State.IDLE, "delete"),
    }
    assert step.jobs == ["delete"]


@pytest.mark.parametrize("situation", ["ready", "starting"])
def test_unreachable_doubts_the_agent(situation: str) -> None:
    """The chat waits for the grace, and the agent is asked to tell again."""
    stage = a_chat_in(situation)
    state = stage.state

    step = stage.wait(5).unreachable()

    assert (step.outcome, step.moves) == ("accepted", [(state, State.CONNECTING)])
    assert step.asked == [stage.workspace.id]
    assert stage.snapshot.agent is not None
    assert (stage.snapshot.agent.link, stage.snapshot.agent.link_since) == ("disconnected", stage.now)
    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - stage.now).total_seconds() == 30


def test_a_live_agent_answers() -> None:
    """It tells `connected` and its lifecycle on the connection it had, and the chat is ready again."""
    stage = a_chat_in("ready")
    agent = stage.agent
    stage.wait(5).unreachable()

    stage.wait(1).connected()
    stage.lifecycle("ready", at=agent.lifecycle_at)

    assert stage.state is State.READY


@pytest.mark.parametrize("ahead", [-60, 60])
def test_a_live_agent_whose_clock_is_wrong_answers_too(ahead: int) -> None:
    """The stream's clock orders doubt and answer, not the agent's."""
    stage = a_chat_in("connecting")
    skewed = stage.now + timedelta(seconds=ahead)
    stage.connected(at=skewed)
    stage.lifecycle("ready", at=skewed)
    stage.wait(5).unreachable()

    stage.wait(1).connected(at=skewed)

    assert stage.state is State.READY


def test_a_connect_stored_before_the_doubt_does_not_answer_it() -> None:
    """A redelivered `connected` is no sign of life."""
    stage = a_chat_in("ready")
    stage.unreachable()

    step = stage.connected()

    assert step.moves == []
    assert stage.state is State.CONNECTING


def test_a_silent_agent_is_lost() -> None:
    """So it takes two signals, a failed dial and a silent agent, to lose a workspace."""
    stage = a_chat_in("ready")
    stage.unreachable()

    stage.expire()

    assert stage.failure == ("connecting", "agent_disconnected")


@pytest.mark.parametrize("situation", ["connecting", "reconnecting", "startup_failed", "long_disconnected"])
def test_unreachable_elsewhere_is_only_recorded(situation: str) -> None:
    """Where nobody believes that the agent is reachable, nothing changes."""
    stage = a_chat_in(situation)

    step = stage.unreachable()

    assert (step.outcome, step.moves, step.said) == ("attached", [], [])


@pytest.mark.parametrize("field", ["workspace_id", "build_id", "agent_id"])
def test_unreachable_of_another_triple_is_ignored(field: str) -> None:
    """A report about what is not bound any more says nothing."""
    stage = a_chat_in("ready")

    step = stage.unreachable(**{field: an_id(4711)})

    assert (step.outcome, step.moves, step.said) == ("conflict", [], [])


def test_unreachable_without_a_chat() -> None:
    """`conflict` without a snapshot (wire.md section 2)."""
    step = Stage().unreachable()

    assert (step.outcome, step.answers[0].snapshot) == ("conflict", None)
    assert step.transitions == []


def test_touch_sets_the_ttl_anew() -> None:
    """The time runs from now."""
    stage = a_chat_in("ready", stage=a_stage_with_ttl("8h"))

    step = stage.wait(3600).touch()

    assert step.outcome == "accepted"
    assert stage.workspace.ttl_at is not None
    assert (stage.workspace.ttl_at - stage.now).total_seconds() == 8 * 3600
    assert [timer.at for timer in step.timers(WorkspaceExpiry)] == [stage.workspace.ttl_at]


@pytest.mark.parametrize("situation", ["ready", "stopped", "creating"])
def test_touch_without_a_ttl_changes_nothing(situation: str) -> None:
    """There is nothing to set."""
    step = a_chat_in(situation).touch()

    assert (step.outcome, step.moves, step.said) == ("exists", [], [])


def test_touch_needs_a_workspace() -> None:
    """409 in the words of start."""
    assert Stage().touch().answer.error_status == 409
