"""Why a chat stops short, in exact words, and what heals it (domain.md 6.4)."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.builders import a_template
from tests.situations import a_chat_in
from tests.stage import Stage
from workspaced.fsm.chat import Failure
from workspaced.fsm.facts import Quota, job_status
from workspaced.fsm.settings import settings_from
from workspaced.fsm.state import State
from workspaced.fsm.values import JobStatus, Lifecycle

FAILURES: list[tuple[str, str, str, bool, str]] = [
    (
        "not_taken",
        "creating",
        "job_not_taken",
        True,
        'timed out waiting for workspace build: no provisioner "local" took the job within 10m',
    ),
    (
        "build_timeout",
        "building",
        "build_timeout",
        True,
        "timed out waiting for workspace build: still running after 10m",
    ),
    ("failed_untaken", "creating", "build_failed", True, "no such image"),
    ("build_failed", "building", "build_failed", True, "no such image"),
    ("quota", "building", "insufficient_quota", False, "quota is full"),
    ("canceled_untaken", "creating", "build_canceled", True, "build was canceled"),
    ("canceled", "building", "build_canceled", True, "build was canceled"),
    ("no_agent", "binding", "no_agent", False, "no eligible workspace agents found"),
    (
        "selection_error",
        "binding",
        "selection_error",
        False,
        (
            'multiple agents match the chat suffix "-coderd-chat": a-coderd-chat, b-coderd-chat; only one agent '
            "should use this suffix"
        ),
    ),
    ("agents_unknown", "binding", "agents_unknown", True, "the build did not report its agents within 30s"),
    ("never_connected", "connecting", "agent_not_connected", True, "the workspace agent did not connect within 2m"),
    (
        "agent_disconnected",
        "connecting",
        "agent_disconnected",
        True,
        "the workspace agent has been disconnected for 30s",
    ),
    ("startup_failed", "starting", "startup_failed", False, "startup scripts ended in start_error"),
    ("startup_timeout", "starting", "startup_timeout", True, "startup scripts did not finish within 10m"),
]


@pytest.mark.parametrize(("situation", "phase", "code", "retryable", "message"), FAILURES)
def test_each_failure(situation: str, phase: str, code: Any, *, retryable: bool, message: str) -> None:  # noqa: ANN401 - a word
    """Phase, code, retryable and text; the failure is in the row, the snapshot and the history."""
    stage = a_chat_in(situation)

    expected = Failure(State(phase), code, message, retryable=retryable)

    assert stage.chat.failure == expected
    assert stage.snapshot.failure == expected
    assert stage.history[-1].failure == expected
    assert (stage.chat.deadline_at, stage.snapshot.waiting_for) == (None, None)


@pytest.mark.parametrize("situation", ["no_agent", "selection_error"])
def test_a_selection_that_fails_binds_no_agent(situation: str) -> None:
    """It leaves (workspace, build, null) (domain.md 7.2)."""
    chat = a_chat_in(situation).chat

    assert (chat.workspace_id is None, chat.build_id is None, chat.agent_id) == (False, False, None)


def test_a_failure_without_a_text() -> None:
    """The words are ours then."""
    stage = a_chat_in("building")

    stage.job("failed")

    assert stage.message == "build failed"


def test_the_report_may_say_that_a_retry_is_useless() -> None:
    """`retryable: false` of the job is the failure's."""
    stage = a_chat_in("building")

    stage.job("failed", error="bad template", retryable=False)

    assert stage.chat.failure is not None
    assert not stage.chat.failure.retryable


def test_the_quota_is_kept() -> None:
    """As the job's failure carried it."""
    stage = a_chat_in("building")

    stage.job("failed", error="full", error_code="INSUFFICIENT_QUOTA", quota=Quota(7, 5))

    assert stage.chat.failure is not None
    assert stage.chat.failure.quota == Quota(7, 5)


def test_a_long_error_is_cut() -> None:
    """4096 characters are enough for anybody."""
    stage = a_chat_in("building")

    stage.job("failed", error="x" * 5000)

    assert len(stage.message) == 4096


@pytest.mark.parametrize("state", ["start_timeout", "start_error", "shutting_down", "off"])
def test_any_lifecycle_past_starting_but_ready_fails(state: Lifecycle) -> None:
    """Also `start_timeout`, although its scripts run on."""
    stage = a_chat_in("starting")

    stage.lifecycle(state)

    assert stage.failure == ("starting", "startup_failed")
    assert stage.message == f"startup scripts ended in {state}"


def test_ready_and_then_shutting_down() -> None:
    """A ready chat whose agent leaves `ready` falls back to starting and on from there."""
    stage = a_chat_in("ready")

    step = stage.lifecycle("shutting_down")

    assert step.moves == [(State.READY, State.STARTING), (State.STARTING, State.FAILED)]


HEALS: list[tuple[str, list[tuple[str, Any]], list[str]]] = [
    ("not_taken", [("job", "running")], ["building"]),
    ("not_taken", [("job", "canceling")], ["building"]),
    ("not_taken", [("job", "succeeded")], ["binding"]),
    ("not_taken", [("built", None)], ["binding", "connecting"]),
    ("build_timeout", [("job", "succeeded")], ["binding"]),
    ("build_timeout", [("built", None)], ["binding", "connecting"]),
    ("agents_unknown", [("built", None)], ["binding", "connecting"]),
    ("never_connected", [("connected", None)], ["starting"]),
    ("link_timeout", [("connected", None)], ["starting"]),
    ("agent_disconnected", [("connected", None)], ["starting", "ready"]),
    ("startup_failed", [("lifecycle", "ready")], ["ready"]),
    ("startup_failed", [("lost", None), ("lifecycle", "ready"), ("connected", None)], ["ready"]),
    ("startup_timeout", [("lifecycle", "ready")], ["ready"]),
    ("startup_timeout_lost", [("lifecycle", "ready"), ("connected", None)], ["ready"]),
    ("agent_disconnected", [("lifecycle", "start_error"), ("connected", None)], ["starting", "failed"]),
]


@pytest.mark.parametrize(("situation", "reports", "states"), HEALS)
def test_better_facts_heal(situation: str, reports: list[tuple[str, Any]], states: list[str]) -> None:
    """A late success moves a failed chat on from where it would be."""
    stage = a_chat_in(situation)
    before = len(stage.history)

    for name, argument in reports:
        getattr(stage, name)(*([argument] if argument else []))

    moved = [row.to_state.value for row in stage.history[before:] if row.from_state is not row.to_state]
    assert moved == states
    assert (stage.chat.failure is None) == (states[-1] != "failed")


@pytest.mark.parametrize("situation", ["startup_failed", "startup_timeout"])
def test_an_agent_that_was_restarted_heals(situation: str) -> None:
    """It reports `starting` again on a new connection, and gets a new deadline."""
    stage = a_chat_in(situation)
    stage.lost()
    stage.wait(3).connected()

    step = stage.lifecycle("starting")

    assert step.moves == [(State.FAILED, State.STARTING)]
    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - stage.now).total_seconds() == 600


NOT_HEALED: list[tuple[str, list[tuple[str, Any]]]] = [
    ("build_failed", [("job", "running"), ("job", "succeeded"), ("job", "canceled")]),
    ("quota", [("job", "succeeded")]),
    ("no_agent", [("built", None)]),
    ("selection_error", [("built", None)]),
    ("ended_by_limit_then_built", [("connected", None), ("lifecycle", "ready")]),
]


@pytest.mark.parametrize(("situation", "reports"), NOT_HEALED)
def test_what_does_not_heal_within_its_build(situation: str, reports: list[tuple[str, Any]]) -> None:
    """The chat stays failed, with the same failure."""
    stage = a_chat_in(situation)
    failure = stage.chat.failure

    for name, argument in reports:
        getattr(stage, name)(*([argument] if argument else []))

    assert (stage.state, stage.chat.failure) == (State.FAILED, failure)


FAILED = [row[0] for row in FAILURES]


@pytest.mark.parametrize("situation", FAILED)
def test_a_newer_start_build_heals_everything(situation: str) -> None:
    """Whoever began it."""
    stage = a_chat_in(situation)

    step = stage.created_elsewhere()

    assert step.moves == [(State.FAILED, State.CREATING)]
    assert (stage.chat.failure, stage.chat.agent_id, stage.chat.build_id) == (None, None, stage.build.id)


@pytest.mark.parametrize("transition", ["stop", "delete"])
@pytest.mark.parametrize("situation", FAILED)
def test_a_stop_or_delete_leads_to_idle(situation: str, transition: Any) -> None:  # noqa: ANN401 - a word
    """A failure of a workspace that stops does not matter any more."""
    stage = a_chat_in(situation)

    assert stage.created_elsewhere(transition).moves == [(State.FAILED, State.IDLE)]


@pytest.mark.parametrize("situation", ["agent_disconnected", "startup_timeout", "startup_failed"])
def test_an_agent_lost_in_failed_does_not_change_the_failure(situation: str) -> None:
    """Its link is in the snapshot, for create to look at."""
    stage = a_chat_in(situation)
    failure = stage.chat.failure

    stage.lost()

    assert stage.chat.failure == failure
    assert stage.snapshot.agent is not None
    assert stage.snapshot.agent.link == "disconnected"


TOLD_ANEW: list[tuple[str, JobStatus | Lifecycle, tuple[str, str]]] = [
    ("not_taken", "failed", ("creating", "build_failed")),
    ("not_taken", "canceled", ("creating", "build_canceled")),
    ("build_timeout", "failed", ("building", "build_failed")),
    ("build_timeout", "canceled", ("building", "build_canceled")),
    ("startup_timeout", "start_error", ("starting", "startup_failed")),
]


@pytest.mark.parametrize(("situation", "report", "failure"), TOLD_ANEW)
def test_the_end_that_comes_after_a_deadline_is_told(situation: str, report: Any, failure: tuple[str, str]) -> None:  # noqa: ANN401 - a word
    """What a deadline guessed gives way to what happened; the phase stays where the chat stopped short."""
    stage = a_chat_in(situation)

    step = stage.lifecycle(report) if situation == "startup_timeout" else stage.job(report, error="no such image")

    assert step.moves == [(State.FAILED, State.FAILED)]
    assert stage.failure == failure
    assert stage.history[-1].failure == stage.chat.failure


def test_durations_are_the_configured_ones() -> None:
    """As texts of the deadline that was in force when the state was entered."""
    stage = Stage(settings=settings_from({"creating_deadline": "90s"}))
    stage.create()
    stage.settings = settings_from({"creating_deadline": "5m"})

    stage.expire()

    assert stage.message.endswith("within 1m30s")


def test_the_provisioners_tag_is_named() -> None:
    """So that an operator knows which one is missing."""
    stage = a_chat_in("not_taken", stage=Stage(templates=[a_template(provisioner="gpu-1")]))

    assert 'no provisioner "gpu-1" took' in stage.message


def test_retrying_after_the_grace_names_the_whole_grace() -> None:
    """What was left of it is not what the text tells."""
    stage = a_chat_in("startup_failed_lost").wait(10)
    stage.create()

    stage.expire()

    assert stage.message == "the workspace agent has been disconnected for 30s"


def test_a_failed_chat_tells_that_its_job_goes_on() -> None:
    """An announcement keeps the state and the failure."""
    stage = a_chat_in("build_timeout")
    failure = stage.chat.failure

    step = stage.job("canceling")

    assert step.moves == [(State.FAILED, State.FAILED)]
    assert stage.chat.failure == failure
    assert job_status(stage.build) == "canceling"


def test_a_template_without_row_is_no_obstacle() -> None:
    """A workspace whose template was purged still stops."""
    stage = a_chat_in("ready")
    stage.templates = []

    step = stage.stop()

    assert step.outcome == "accepted"
    assert replace(stage.build, parameters={}).provisioner == "local"
