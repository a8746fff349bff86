"""stop, restart, delete and cancel, row by row of domain.md 2.4."""

import pytest

from tests.situations import a_chat_in, a_stage_without_cancel
from tests.stage import Stage
from workspaced.fsm.facts import job_status
from workspaced.fsm.state import State

STOPS = [
    ("stopped", "stopped", []),
    ("stopping", "attached", []),
    ("restarting", "attached", []),
    ("creating", "conflict", []),
    ("building", "conflict", []),
    ("not_taken", "conflict", []),
    ("build_timeout", "conflict", []),
    ("deleting", "conflict", []),
    *[
        (situation, "accepted", ["stop"])
        for situation in (
            "binding",
            "connecting",
            "reconnecting",
            "starting",
            "ready",
            "stop_failed",
            "stop_canceled",
            "delete_failed",
            "build_failed",
            "canceled",
            "no_agent",
            "agents_unknown",
            "agent_disconnected",
            "startup_failed",
            "startup_timeout",
        )
    ],
]


@pytest.mark.parametrize(("situation", "outcome", "jobs"), STOPS)
def test_stop(situation: str, outcome: str, jobs: list[str]) -> None:
    """A stop build where the workspace may run; the chat goes to idle and its agent is dropped."""
    stage = a_chat_in(situation)
    before = stage.chat

    step = stage.stop()

    assert (step.outcome, step.jobs) == (outcome, jobs)
    if jobs:
        assert step.moves == [(before.state, State.IDLE)]
        assert (stage.chat.build_id, stage.chat.agent_id) == (stage.build.id, None)
        assert (step.answer.build_id, stage.snapshot.waiting_for) == (stage.build.id, "stop")


def test_stop_drops_a_noted_start() -> None:
    """A restart that is on its way ends stopped, and whoever watches is told."""
    stage = a_chat_in("restarting")

    step = stage.stop()
    stage.job("succeeded")

    assert step.moves == [(State.IDLE, State.IDLE)]
    assert step.answer.build_id == stage.build.id
    assert (stage.build.transition, stage.state, stage.workspace.next) == ("stop", State.IDLE, None)


def test_the_pushes_of_a_stop() -> None:
    """Ready -> idle when asked, idle -> idle when the job runs and when it ends (wire.md section 8)."""
    stage = a_chat_in("ready")

    steps = [stage.stop(), stage.job("running"), stage.job("succeeded")]

    idle = (State.IDLE, State.IDLE)
    assert [step.moves for step in steps] == [[(State.READY, State.IDLE)], [idle], [idle]]


RESTARTS = [
    ("stopped", "accepted", ["start"], None),
    ("stopping", "accepted", [], "start"),
    ("restarting", "attached", [], "start"),
    ("stopping_then_delete", "conflict", [], "delete"),
    ("creating", "conflict", [], None),
    ("building", "conflict", [], None),
    ("not_taken", "conflict", [], None),
    ("deleting", "conflict", [], None),
    *[
        (situation, "accepted", ["stop"], "start")
        for situation in (
            "binding",
            "connecting",
            "starting",
            "ready",
            "stop_failed",
            "delete_failed",
            "build_failed",
            "canceled_untaken",
            "no_agent",
            "long_disconnected",
            "startup_failed",
        )
    ],
]


@pytest.mark.parametrize(("situation", "outcome", "jobs", "following"), RESTARTS)
def test_restart(situation: str, outcome: str, jobs: list[str], following: str | None) -> None:
    """A stop build with `next = start`; a stopped workspace starts at once."""
    stage = a_chat_in(situation)

    step = stage.restart()

    assert (step.outcome, step.jobs, stage.workspace.next) == (outcome, jobs, following)
    if following == "start":
        assert (stage.state, stage.snapshot.waiting_for) == (State.IDLE, "stop")


def test_a_restart_survives_its_caller() -> None:
    """The transaction that records the stop's end requests the start."""
    stage = a_chat_in("ready")
    stage.restart()

    step = stage.job("succeeded")

    assert step.moves == [(State.IDLE, State.IDLE), (State.IDLE, State.CREATING)]
    assert step.jobs == ["start"]
    assert stage.workspace.next is None
    assert {row.cause.event for row in step.transitions} == {"job.succeeded"}


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_no_start_follows_a_stop_that_did_not_succeed(status: str) -> None:
    """It is dropped, and the chat stays idle with the job's status and error."""
    stage = a_chat_in("restarting")

    step = stage.job(status, error="no answer")  # type: ignore[arg-type]  # one of the statuses

    assert (stage.state, stage.workspace.next, step.jobs) == (State.IDLE, None, [])
    assert stage.snapshot.workspace is not None
    assert stage.snapshot.workspace.job_status == status
    assert stage.snapshot.workspace.job_error == ("no answer" if status == "failed" else None)


DELETES = [
    ("deleting", "attached", []),
    ("stopping_then_delete", "attached", []),
    ("stopping", "accepted", []),
    ("restarting", "accepted", []),
    *[
        (situation, "accepted", ["delete"])
        for situation in (
            "creating",
            "not_taken",
            "binding",
            "connecting",
            "ready",
            "stopped",
            "stop_failed",
            "delete_failed",
            "build_failed",
            "canceled",
            "selection_error",
            "startup_timeout",
        )
    ],
]


@pytest.mark.parametrize(("situation", "outcome", "jobs"), DELETES)
def test_delete(situation: str, outcome: str, jobs: list[str]) -> None:
    """A delete build now, or as what follows the build in flight; a pending job leaves its queue first."""
    stage = a_chat_in(situation)
    before, build = stage.chat, stage.build
    pending_start = build.transition == "start" and job_status(build) == "pending"

    step = stage.delete()

    assert (step.outcome, step.jobs) == (outcome, jobs)
    assert step.purged == ([build.job_id] if pending_start else [])
    assert step.answer.build_id == stage.build.id
    if jobs:
        assert step.moves == [(before.state, State.IDLE)]
        assert stage.snapshot.waiting_for == "delete"
    else:
        assert "delete" in {stage.build.transition, stage.workspace.next}


@pytest.mark.parametrize("situation", ["building", "build_timeout"])
@pytest.mark.parametrize("status", ["canceled", "failed", "succeeded"])
def test_delete_follows_however_the_build_ends(situation: str, status: str) -> None:
    """A running start is canceled; its end, whatever it is, begins the delete without a failure in between."""
    stage = a_chat_in(situation)
    state = stage.state

    asked = stage.delete()
    step = stage.job(status, error="killed")  # type: ignore[arg-type]  # one of the statuses

    assert asked.stopped == [(stage.builds[asked.answer.build_id or ""].job_id, "canceled")]
    assert asked.moves == [(state, state)]
    assert (step.moves, step.jobs) == ([(state, State.IDLE)], ["delete"])


@pytest.mark.parametrize("status", ["canceled", "failed", "succeeded"])
def test_delete_follows_however_the_stop_ends(status: str) -> None:
    """A delete is wanted even when the stop fails."""
    stage = a_chat_in("stopping_then_delete")

    assert stage.job(status, error="x").jobs == ["delete"]  # type: ignore[arg-type]  # one of the statuses


def test_a_delete_that_succeeds_clears_the_triple() -> None:
    """The snapshot keeps showing the workspace as deleted."""
    stage = a_chat_in("deleted")

    snapshot = stage.snapshot
    assert snapshot.workspace is not None
    assert snapshot.workspace.deleted
    assert (snapshot.state, snapshot.build_id, snapshot.agent_id, snapshot.waiting_for) == (
        State.IDLE,
        None,
        None,
        None,
    )
    assert (stage.chat.build_id, stage.chat.agent_id) == (None, None)


def test_a_delete_that_fails_leaves_the_chat_idle() -> None:
    """Status and error are in the snapshot."""
    snapshot = a_chat_in("delete_failed").snapshot

    assert snapshot.state is State.IDLE
    assert snapshot.workspace is not None
    assert (snapshot.workspace.deleted, snapshot.workspace.job_status) == (False, "failed")
    assert snapshot.workspace.job_error == "still mounted"


@pytest.mark.parametrize("situation", ["creating", "not_taken"])
def test_cancel_of_a_pending_job(situation: str) -> None:
    """The job is canceled at once and leaves its queue."""
    stage = a_chat_in(situation)

    step = stage.cancel()

    assert (step.outcome, step.purged, step.stopped) == ("accepted", [stage.build.job_id], [])
    assert (stage.state, stage.failure) == (State.FAILED, ("creating", "build_canceled"))
    assert stage.message == "build was canceled"
    assert job_status(stage.build) == "canceled"
    assert step.answer.build_id == stage.build.id


@pytest.mark.parametrize("situation", ["building", "build_timeout"])
def test_cancel_of_a_running_job(situation: str) -> None:
    """The provisioner is told, and the chat waits in building, again if it had given up."""
    stage = a_chat_in(situation)

    step = stage.cancel()

    assert (step.outcome, step.stopped) == ("accepted", [(stage.build.job_id, "canceled")])
    assert (stage.state, job_status(stage.build)) == (State.BUILDING, "canceling")
    assert stage.chat.deadline_at is not None
    assert stage.job("canceled").moves == [(State.BUILDING, State.FAILED)]
    assert stage.failure == ("building", "build_canceled")


def test_cancel_of_a_canceling_job() -> None:
    """Nothing is done twice."""
    stage = a_chat_in("canceling")

    step = stage.cancel()

    assert (step.outcome, step.moves, step.said) == ("attached", [], [])


@pytest.mark.parametrize("situation", ["binding", "connecting", "starting"])
def test_cancel_of_what_is_built(situation: str) -> None:
    """It never was ready, so it is deleted and gives up its name."""
    stage = a_chat_in(situation)
    state = stage.state

    step = stage.cancel()

    assert (step.outcome, step.jobs, step.moves) == ("accepted", ["delete"], [(state, State.IDLE)])
    assert stage.workspace.name_released


def test_cancel_of_what_had_been_ready() -> None:
    """It is stopped, not deleted."""
    stage = a_chat_in("reconnecting")

    assert stage.cancel().jobs == ["stop"]
    assert not stage.workspace.name_released


@pytest.mark.parametrize(
    "situation",
    [
        "no_workspace",
        "ready",
        "stopped",
        "stopping",
        "deleting",
        "deleted",
        "build_failed",
        "no_agent",
        "long_disconnected",
    ],
)
def test_nothing_to_cancel(situation: str) -> None:
    """Everything else is 409."""
    answer = a_chat_in(situation).cancel().answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code) == (409, "nothing_to_cancel")
    assert answer.error.error == "there is nothing to cancel"


def test_nothing_to_cancel_without_a_chat() -> None:
    """A chat without a row has nothing on its way."""
    assert Stage().cancel().answer.error_status == 409


def test_a_template_may_forbid_canceling() -> None:
    """403, and the job goes on."""
    stage = a_chat_in("building", stage=a_stage_without_cancel())

    answer = stage.cancel().answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code) == (403, "cancel_not_allowed")
    assert answer.error.error == "this template does not allow canceling"
    assert job_status(stage.build) == "running"


@pytest.mark.parametrize("situation", ["canceling", "canceled_untaken"])
def test_a_success_after_a_cancel_is_cleaned_up(situation: str) -> None:
    """It is recorded, the job counts as canceled, nothing heals, and the workspace gets its clean-up build."""
    stage = a_chat_in(situation)
    build = stage.build

    step = stage.built()

    ended = stage.builds[build.id]
    assert (ended.reported, job_status(ended)) == ("succeeded", "canceled")
    assert (step.jobs, stage.state, stage.build.transition) == (["delete"], State.IDLE, "delete")
    assert step.moves[-1] == (State.FAILED, State.IDLE)
    assert step.transitions[-1].cause.event == "cleanup"
    assert State.BINDING not in {row.to_state for row in step.transitions}


@pytest.mark.parametrize("situation", ["canceling", "canceled_untaken", "canceled"])
def test_a_worker_that_takes_a_canceled_job_is_told_again(situation: str) -> None:
    """Canceling twice is harmless, working on is not."""
    stage = a_chat_in(situation)

    step = stage.job("running", attempt=2)

    assert step.stopped == [(stage.build.job_id, "canceled")]
    assert step.moves == []


@pytest.mark.parametrize(("error", "status"), [("killed", "failed"), ("", "canceled")])
def test_a_failure_after_a_cancel(error: str, status: str) -> None:
    """With a text it is a failure, without one it is the cancel (domain.md 6.1)."""
    stage = a_chat_in("canceling")

    stage.job("failed", error=error)

    assert job_status(stage.build) == status
    assert stage.failure == ("building", "build_failed" if error else "build_canceled")


def test_what_a_delete_left_does_not_come_back() -> None:
    """A worker that takes the job of a start which a delete has ended is told to stop."""
    stage = a_chat_in("creating")
    start = stage.build
    stage.delete()

    step = stage.job("running", start)

    assert step.stopped == [(start.job_id, "late")]
