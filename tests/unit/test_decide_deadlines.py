"""Deadlines, TTL and the limits of jobs (design.md sections 2 and 5, domain.md 4.2, 6.4, 9)."""

from datetime import timedelta

import pytest

from tests.builders import ANOTHER_CHAT, CHAT, a_template
from tests.situations import SITUATIONS, a_chat_in, a_stage_with_ttl
from tests.stage import Stage
from workspaced.fsm.effects import JobLimit, WorkspaceExpiry
from workspaced.fsm.facts import job_status
from workspaced.fsm.settings import settings_from
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.template import Deadlines

SPANS = [
    ("creating", 600),
    ("building", 600),
    ("binding", 30),
    ("connecting", 120),
    ("reconnecting", 30),
    ("starting", 600),
]


@pytest.mark.parametrize(("situation", "seconds"), SPANS)
def test_each_waiting_state_has_its_deadline(situation: str, seconds: int) -> None:
    """The row is the truth, the timer the wake-up; both name the version that set it."""
    stage = a_chat_in(situation)

    row = next(row for row in stage.history if row.version == stage.chat.deadline_version)
    [timer] = [effect for effect in row.effects if getattr(effect, "due", None).__class__.__name__ == "ChatDeadline"]

    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - (stage.chat.entered_at or stage.now)).total_seconds() == seconds
    assert timer.at == stage.chat.deadline_at  # type: ignore[union-attr]  # a timer


@pytest.mark.parametrize("situation", list(SITUATIONS))
def test_waiting_states_have_a_deadline_and_others_none(situation: str) -> None:
    """Nobody waits for ever, and nothing fails that does not wait."""
    chat = a_chat_in(situation).chat

    assert (chat.deadline_at is not None) == (chat.state in WAITING)


def test_a_template_has_its_own_deadlines() -> None:
    """They override the settings, each alone (wire.md section 8)."""
    stage = Stage(templates=[a_template(deadlines=Deadlines(building="3s"))])
    stage.create()
    assert stage.chat.deadline_at == stage.now + timedelta(minutes=10)

    stage.job("running")

    assert stage.chat.deadline_at == stage.now + timedelta(seconds=3)
    stage.expire()
    assert stage.message == "timed out waiting for workspace build: still running after 3s"


def test_settings_count_for_states_entered_afterwards() -> None:
    """A deadline that is set stays."""
    stage = a_chat_in("creating")
    before = stage.chat.deadline_at
    stage.settings = settings_from({"creating_deadline": "1s", "building_deadline": "2s"})

    assert stage.chat.deadline_at == before
    stage.job("running")
    assert stage.chat.deadline_at == stage.now + timedelta(seconds=2)


@pytest.mark.parametrize("situation", ["ready", "stopped", "build_failed", "building"])
def test_a_stale_deadline_is_ignored(situation: str) -> None:
    """It was set for another version."""
    stage = a_chat_in(situation)
    before = stage.chat

    stage.expire(version=1)

    assert stage.chat == before


def test_an_announcement_keeps_the_deadline() -> None:
    """A newer version of the same wait is not a new wait."""
    stage = a_chat_in("connecting")
    before = stage.chat
    stage.lifecycle("starting")

    assert stage.chat.version == before.version + 1
    assert (stage.chat.deadline_at, stage.chat.deadline_version) == (before.deadline_at, before.deadline_version)
    assert stage.expire().moves == [(State.CONNECTING, State.FAILED)]


def test_a_deadline_of_an_unknown_chat_is_ignored() -> None:
    """Its row was purged."""
    stage = a_chat_in("creating")
    item = stage.expiring()
    stage.chats.clear()

    assert stage.take(item).moves == []


def test_the_rest_of_the_starting_deadline_goes_on() -> None:
    """After a blink, what was left of it is left."""
    stage = a_chat_in("starting")
    until = stage.chat.deadline_at
    stage.wait(100).lost()
    stage.wait(20).connected()

    assert until is not None
    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - until).total_seconds() == pytest.approx(20, abs=0.01)
    assert stage.expire().moves == [(State.STARTING, State.FAILED)]
    assert stage.message == "startup scripts did not finish within 10m"


def test_the_rest_goes_on_after_the_grace_too() -> None:
    """The agent came back late, and its scripts ran on meanwhile."""
    stage = a_chat_in("starting")
    stage.wait(100).lost()
    stage.expire()

    stage.wait(60).connected()

    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - stage.now).total_seconds() == pytest.approx(500, abs=0.01)


def test_a_restarted_agent_gets_a_new_deadline() -> None:
    """Its scripts begin anew."""
    stage = a_chat_in("starting")
    stage.wait(100).lost()
    stage.wait(5).connected()

    step = stage.wait(1).lifecycle("starting")

    assert step.moves == [(State.STARTING, State.STARTING)]
    assert stage.chat.deadline_at == stage.now + timedelta(minutes=10)
    assert [timer.at for timer in step.timers()] == [stage.chat.deadline_at]


def test_a_restart_told_in_the_batch_of_its_connect() -> None:
    """Both have one time; the deadline is set once, and it counts."""
    stage = a_chat_in("starting")
    stage.wait(100).lost()
    stage.wait(5).connected()

    stage.now -= timedelta(microseconds=1)
    stage.lifecycle("starting")

    assert stage.expire().moves == [(State.STARTING, State.FAILED)]


def test_an_agent_that_tells_again_gets_no_new_deadline() -> None:
    """A resync is no restart: the connection is the same."""
    stage = a_chat_in("starting")
    until = stage.chat.deadline_at

    step = stage.wait(100).lifecycle("starting")

    assert step.moves == []
    assert stage.chat.deadline_at == until


def test_ready_again_after_a_restart() -> None:
    """A ready chat whose agent was restarted has a whole deadline."""
    stage = a_chat_in("ready")
    stage.lost()
    stage.connected()

    step = stage.lifecycle("starting")

    assert step.moves == [(State.READY, State.STARTING)]
    assert stage.chat.deadline_at == stage.now + timedelta(minutes=10)


def test_the_ttl_runs_from_the_first_ready() -> None:
    """Not from create, and a blink does not set it anew."""
    stage = a_chat_in("starting", stage=a_stage_with_ttl("8h"))
    assert stage.workspace.ttl_at is None
    stage.wait(60)

    step = stage.lifecycle("ready")

    assert stage.workspace.ttl_at == stage.now + timedelta(hours=8)
    assert [timer.at for timer in step.timers(WorkspaceExpiry)] == [stage.workspace.ttl_at]
    until = stage.workspace.ttl_at
    stage.lost()
    stage.wait(5).connected()
    assert (stage.state, stage.workspace.ttl_at) == (State.READY, until)


def test_the_ttl_stops_the_workspace() -> None:
    """The engine requests the stop, and the cause is `ttl`."""
    stage = a_chat_in("ready", stage=a_stage_with_ttl("8h"))

    step = stage.ttl()

    assert (step.jobs, step.moves) == (["stop"], [(State.READY, State.IDLE)])
    assert step.transitions[0].cause.event == "ttl"
    assert stage.workspace.ttl_at is None
    assert [effect for effect in step.transitions[-1].effects if effect in step.said]


@pytest.mark.parametrize("ended", ["stop", "restart", "touch", "delete", "created_elsewhere"])
def test_a_ttl_that_is_not_in_force_is_ignored(ended: str) -> None:
    """Another build is the latest, or the time was set anew."""
    stage = a_chat_in("ready", stage=a_stage_with_ttl("8h"))
    timer = WorkspaceExpiry(stage.workspace.id, stage.workspace.ttl_at or stage.now)
    stage.wait(1)
    getattr(stage, ended)()
    if ended == "created_elsewhere":
        stage.job("running")
        stage.built()

    step = stage.take(stage.item(timer))

    assert (step.jobs, step.moves) == ([], [])


def test_a_ttl_of_an_unready_workspace_stops_it_too() -> None:
    """It was ready once in this build, and its agent is away."""
    stage = a_chat_in("long_disconnected", stage=a_stage_with_ttl("8h"))

    assert stage.ttl().jobs == ["stop"]


PENDING = "Build has been detected as pending for 30 minutes"
HUNG = "Build has been detected as hung for 60 minutes"


@pytest.mark.parametrize(
    ("situation", "phase", "text"),
    [("creating", "creating", PENDING), ("building", "building", HUNG), ("canceling", "building", HUNG)],
)
def test_a_job_has_limits(situation: str, phase: str, text: str) -> None:
    """It fails without an error_code; pending it is taken from the queue, running it is canceled."""
    stage = a_chat_in(situation)
    job = stage.build.job_id

    step = stage.limit()

    assert (job_status(stage.build), stage.build.error, stage.build.error_code) == ("failed", text, None)
    assert (stage.failure, stage.message) == ((phase, "build_failed"), text)
    assert (step.purged, step.stopped) == (([job], []) if text == PENDING else ([], [(job, "limit")]))
    assert step.transitions[-1].cause.event == "limit"


@pytest.mark.parametrize(("limit", "minutes"), [("30m", 30), ("29m1s", 30), ("1s", 1), ("90s", 2)])
def test_minutes_are_rounded_up(limit: str, minutes: int) -> None:
    """So that no limit is named 0 (wire.md section 5)."""
    stage = Stage(settings=settings_from({"job_pending_limit": limit}))
    stage.create()

    stage.limit()

    assert stage.build.error == f"Build has been detected as pending for {minutes} minutes"


@pytest.mark.parametrize("situation", ["stopping", "deleting"])
def test_limits_end_stop_and_delete_builds_too(situation: str) -> None:
    """Chats have no deadline for them."""
    stage = a_chat_in(situation)
    step = stage.limit()

    assert (stage.state, step.moves) == (State.IDLE, [(State.IDLE, State.IDLE)])
    assert stage.snapshot.workspace is not None
    assert (stage.snapshot.workspace.job_status, stage.snapshot.workspace.job_error) == ("failed", PENDING)


@pytest.mark.parametrize("situation", ["creating", "stopping", "deleting"])
def test_every_job_is_watched(situation: str) -> None:
    """The pending limit counts from the request, the running limit from the first `running`."""
    stage = a_chat_in(situation)
    requested = stage.steps[-1].timers(JobLimit)
    running = stage.wait(7).job("running").timers(JobLimit)
    again = stage.wait(7).job("running", attempt=2).timers(JobLimit)

    job = JobLimit(stage.workspace.id, stage.build.job_id, "pending")
    assert requested[-1].due == job
    assert (requested[-1].at - stage.build.requested_at) == timedelta(minutes=30)
    assert [timer.due for timer in running] == [JobLimit(job.workspace_id, job.job_id, "running")]
    assert stage.build.started_at is not None
    assert running[0].at - stage.build.started_at == timedelta(minutes=60)
    assert again == []


@pytest.mark.parametrize(
    ("situation", "status"),
    [("creating", "running"), ("ready", "running"), ("build_failed", "running")],
)
def test_a_limit_that_is_not_in_force_is_ignored(situation: str, status: str) -> None:
    """The job is not in that status any more, or not yet."""
    stage = a_chat_in(situation)
    before = stage.build

    step = stage.limit(status)  # type: ignore[arg-type]  # one of the two

    assert (stage.build, step.moves, step.said) == (before, [], [])


def test_a_pending_limit_of_a_job_that_runs_arms_the_running_one() -> None:
    """It was said late and took the place of the running limit, which is set anew, a moment later."""
    stage = a_chat_in("building")

    step = stage.limit("pending")

    assert stage.build.started_at is not None
    (armed,) = step.timers(JobLimit)
    assert step.moves == []
    assert armed.due == JobLimit(stage.workspace.id, stage.build.job_id, "running")
    assert armed.at == stage.build.started_at + timedelta(minutes=60, microseconds=1)


@pytest.mark.parametrize(
    ("status", "expected"), [("succeeded", "succeeded"), ("failed", "failed"), ("canceled", "canceled")]
)
def test_a_job_ended_by_a_limit_takes_its_provisioners_own_report(status: str, expected: str) -> None:
    """Once; after that the first terminal report is final."""
    stage = a_chat_in("building")
    stage.limit()

    stage.job(status, error="disk full")  # type: ignore[arg-type]  # one of the three
    after = stage.build
    stage.job("failed", error="another")

    assert job_status(stage.build) == expected
    assert stage.build == after
    assert stage.build.error == ("disk full" if status == "failed" else "")


def test_a_worker_that_goes_on_after_a_limit_is_told_again() -> None:
    """Its job is over."""
    stage = a_chat_in("building")
    stage.limit()

    assert stage.job("running", attempt=2).stopped == [(stage.build.job_id, "limit")]


def test_a_stop_that_succeeds_after_its_limit_counts() -> None:
    """The workspace is stopped after all."""
    stage = a_chat_in("stopping")
    stage.job("running")
    stage.limit()

    stage.job("succeeded")

    assert stage.stop().outcome == "stopped"


def test_all_chats_of_a_workspace_share_the_limit() -> None:
    """One job, one timer, and every chat bound to it is told."""
    stage = a_chat_in("creating")
    stage.chat_id = ANOTHER_CHAT
    stage.attach(from_chat_id=CHAT)

    step = stage.limit()

    assert {(row.chat_id, row.to_state) for row in step.transitions} == {
        (CHAT, State.FAILED),
        (ANOTHER_CHAT, State.FAILED),
    }
    assert len(step.purged) == 1
