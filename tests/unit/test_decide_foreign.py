"""Builds that somebody else begins (domain.md 6.1): the newest number is the latest build, whoever asked for it."""

from typing import Any

import pytest

from tests.situations import SITUATIONS, a_chat_in
from workspaced.fsm.effects import JobLimit
from workspaced.fsm.facts import job_status
from workspaced.fsm.state import State

WITH_A_LIVE_WORKSPACE = [name for name in SITUATIONS if name not in {"no_workspace", "deleted"}]


@pytest.mark.parametrize("situation", WITH_A_LIVE_WORKSPACE)
def test_a_newer_start_build_leads_to_creating(situation: str) -> None:
    """From every state; the agent is dropped at once, and that is pushed."""
    stage = a_chat_in(situation)
    before = stage.chat

    step = stage.created_elsewhere()

    assert step.moves == [(before.state, State.CREATING)]
    assert (stage.chat.build_id, stage.chat.agent_id) == (stage.build.id, None)
    assert step.transitions[0].cause.event == "build.created"
    assert [timer.due for timer in step.timers(JobLimit)] == [
        JobLimit(stage.workspace.id, stage.build.job_id, "pending")
    ]


@pytest.mark.parametrize("transition", ["stop", "delete"])
@pytest.mark.parametrize("situation", WITH_A_LIVE_WORKSPACE)
def test_a_stop_or_delete_build_leads_to_idle(situation: str, transition: Any) -> None:  # noqa: ANN401 - a word
    """From every state; the chat names the build."""
    stage = a_chat_in(situation)
    before = stage.chat

    step = stage.created_elsewhere(transition)

    assert step.moves == [(before.state, State.IDLE)]
    assert (stage.chat.build_id, stage.chat.agent_id) == (stage.build.id, None)
    assert stage.snapshot.waiting_for == transition


def test_a_foreign_delete_deletes() -> None:
    """As one of ours does."""
    stage = a_chat_in("ready")
    stage.created_elsewhere("delete")

    stage.job("succeeded")

    assert stage.workspace.deleted
    assert (stage.chat.build_id, stage.chat.agent_id) == (None, None)


@pytest.mark.parametrize(("situation", "purged"), [("creating", True), ("building", False), ("canceling", False)])
def test_an_unfinished_build_is_closed(situation: str, purged: bool) -> None:
    """It counts as canceled, and whoever works on it is told to stop."""
    stage = a_chat_in(situation)
    old = stage.build

    step = stage.created_elsewhere()

    assert job_status(stage.builds[old.id]) == "canceled"
    assert (step.purged, step.stopped) == (([old.job_id], []) if purged else ([], [(old.job_id, "late")]))
    assert [build.build_number for build in step.changes.builds] == [1, 2]


@pytest.mark.parametrize("number", [1, 0])
def test_an_older_foreign_build_is_stale(number: int) -> None:
    """Only a number above the latest counts."""
    stage = a_chat_in("ready")
    stage.stop()
    before = stage.build

    stage.created_elsewhere(build_number=number)

    assert stage.build == before
    assert [row.reason for row in stage.stale] == ["not newer than the latest build"]


def test_a_foreign_build_of_a_deleted_workspace_is_stale() -> None:
    """Nothing comes back."""
    stage = a_chat_in("deleted")

    assert stage.created_elsewhere().moves == []
    assert stage.workspace.deleted


def test_a_foreign_build_ends_a_noted_start() -> None:
    """The start was to follow the stop that is closed now; a noted delete still follows."""
    stage = a_chat_in("restarting")
    stage.created_elsewhere()
    assert stage.workspace.next is None

    stage = a_chat_in("stopping_then_delete")
    stage.created_elsewhere()
    assert stage.job("canceled").jobs == ["delete"]
