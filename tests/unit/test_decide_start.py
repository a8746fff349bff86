"""start, row by row of domain.md 2.3."""

import pytest
from msgspec.structs import replace

from tests.builders import a_template, a_version, an_id
from tests.situations import a_chat_in
from tests.stage import Stage
from workspaced.fsm.state import State
from workspaced.fsm.template import Parameter

NOTHING_DONE = [
    ("stopping", "conflict"),
    ("restarting", "conflict"),
    ("deleting", "conflict"),
    ("creating", "attached"),
    ("building", "attached"),
    ("canceling", "attached"),
    ("binding", "attached"),
    ("connecting", "attached"),
    ("reconnecting", "attached"),
    ("starting", "attached"),
    ("ready", "exists"),
    ("no_agent", "exists"),
    ("selection_error", "exists"),
    ("startup_failed", "exists"),
    ("startup_failed_lost", "exists"),
    ("startup_failed_long_lost", "exists"),
]


@pytest.mark.parametrize(("situation", "outcome"), NOTHING_DONE)
def test_it_answers_with_what_is_there(situation: str, outcome: str) -> None:
    """Where the workspace runs, is on its way or stopping, nothing is done."""
    stage = a_chat_in(situation)
    before = stage.chat

    step = stage.start()

    assert (step.outcome, step.jobs, step.moves) == (outcome, [], [])
    assert stage.chat == before


BUILDS = [
    "stopped",
    "stop_failed",
    "stop_canceled",
    "delete_failed",
    "failed_untaken",
    "build_failed",
    "quota",
    "canceled_untaken",
    "canceled",
    "agents_unknown",
    "ended_by_limit_then_built",
]


@pytest.mark.parametrize("situation", BUILDS)
def test_it_requests_a_start_build_of_the_same_workspace(situation: str) -> None:
    """Where nothing runs, the workspace gets a start build under the next number."""
    stage = a_chat_in(situation)
    workspace, build, before = stage.workspace.id, stage.build, stage.chat

    step = stage.start()

    assert (step.outcome, step.jobs, step.moves) == ("accepted", ["start"], [(before.state, State.CREATING)])
    assert (stage.workspace.id, stage.build.build_number) == (workspace, build.build_number + 1)
    assert step.answer.build_id == stage.build.id
    assert (stage.chat.build_id, stage.chat.agent_id, stage.chat.failure) == (stage.build.id, None, None)


SENT_BACK = [
    ("not_taken", "creating", 600),
    ("build_timeout", "building", 600),
    ("never_connected", "connecting", 120),
    ("link_timeout", "connecting", 120),
    ("agent_disconnected", "connecting", 30),
    ("long_disconnected", "connecting", 30),
    ("startup_timeout", "starting", 600),
    ("startup_timeout_lost", "connecting", 30),
]


@pytest.mark.parametrize(("situation", "state", "seconds"), SENT_BACK)
def test_it_waits_again(situation: str, state: str, seconds: int) -> None:
    """A chat that gave up goes back to what it waited for, with a new deadline and no build."""
    stage = a_chat_in(situation)

    step = stage.start()

    assert (step.outcome, step.jobs, step.moves) == ("attached", [], [(State.FAILED, State(state))])
    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - stage.now).total_seconds() == seconds
    assert [timer.at for timer in step.timers()] == [stage.chat.deadline_at]


NO_WORKSPACE = "chat has no workspace; use create_workspace first"
DELETED = "workspace was deleted; use create_workspace to make a new one"


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "delete"])
@pytest.mark.parametrize(
    ("situation", "code", "text"),
    [
        (None, "no_workspace", NO_WORKSPACE),
        ("no_workspace", "no_workspace", NO_WORKSPACE),
        ("deleted", "workspace_deleted", DELETED),
    ],
)
def test_without_a_workspace_it_is_refused(verb: str, situation: str | None, code: str, text: str) -> None:
    """start, stop, restart and delete need a live workspace; a refused one makes no row."""
    stage = a_chat_in(situation) if situation else Stage()
    chats = dict(stage.chats)

    answer = getattr(stage, verb)().answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code, answer.error.error) == (409, code, text)
    assert stage.chats == chats


def test_it_keeps_the_version_of_the_build_before() -> None:
    """A template that moved on does not change a workspace that is started again."""
    stage = a_chat_in("stopped")
    stage.templates = [a_template(active_version_id=an_id(77))]
    stage.versions.append(a_version(an_id(77)))

    stage.start()

    assert stage.build.template_version_id == stage.versions[0].id
    assert stage.snapshot.workspace is not None
    assert not stage.snapshot.workspace.updated_to_active_version


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_it_takes_the_active_version_where_the_template_says_so(verb: str) -> None:
    """The snapshot tells that the workspace was updated; the start that follows a restart's stop is a start."""
    stage = a_chat_in("stopped" if verb == "start" else "ready")
    stage.templates = [a_template(active_version_id=an_id(77), require_active_version=True)]
    stage.versions.append(a_version(an_id(77)))

    getattr(stage, verb)()
    if verb == "restart":
        stage.job("succeeded")

    assert stage.state is State.CREATING
    assert stage.build.template_version_id == an_id(77)
    assert stage.snapshot.workspace is not None
    assert stage.snapshot.workspace.updated_to_active_version


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_version_that_needs_other_parameters_says_so(verb: str) -> None:
    """The original text stands in `detail`, with the validations."""
    stage = a_chat_in("stopped" if verb == "start" else "ready")
    stage.templates = [a_template(active_version_id=an_id(77), require_active_version=True)]
    stage.versions.append(a_version(an_id(77), Parameter("region", required=True)))

    answer = getattr(stage, verb)().answer

    assert answer.error is not None
    assert (answer.error_status, answer.error.code) == (400, "updated_version_needs_parameters")
    assert answer.error.error == (
        "the active template version needs other parameters; use read_template to see them and retry start_workspace "
        "with parameters"
    )
    assert answer.error.detail == "unable to validate parameters"
    assert [(one.field, one.detail) for one in answer.error.validations] == [
        ("region", "required parameter is missing")
    ]


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_given_parameters_replace_earlier_ones_by_name(verb: str) -> None:
    """The others carry over, also over a restart's stop."""
    stage = Stage(versions=[a_version("00000000-0000-0000-0000-000000000004", Parameter("a"), Parameter("b"))])
    stage.create(parameters={"a": "1", "b": "2"})
    stage.job("running")
    stage.built()
    if verb == "start":
        stage.stop()
        stage.job("succeeded")

    getattr(stage, verb)(parameters={"b": "3"})
    if verb == "restart":
        stage.job("succeeded")

    assert stage.build.transition == "start"
    assert stage.build.parameters == {"a": "1", "b": "3"}


def test_exists_sets_the_ttl_anew() -> None:
    """A start that finds the workspace running counts as use."""
    stage = Stage()
    stage.settings = replace(stage.settings, workspace_ttl=stage.settings.building_deadline)
    stage = a_chat_in("ready", stage=stage)
    stage.wait(60)

    stage.start()

    assert stage.workspace.ttl_at == stage.now + stage.settings.workspace_ttl
