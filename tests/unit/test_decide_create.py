"""create, row by row of domain.md 2.2."""

import pytest
from msgspec.structs import replace

from tests.builders import ANOTHER_CHAT, CHAT, ORGANIZATION, OWNER, a_template
from tests.situations import a_chat_in
from tests.stage import Stage
from workspaced.fsm.effects import PublishJob
from workspaced.fsm.state import State

NOTHING_DONE = [
    ("stopped", "stopped"),
    ("stopping", "conflict"),
    ("restarting", "conflict"),
    ("stopping_then_delete", "conflict"),
    ("deleting", "conflict"),
    ("creating", "attached"),
    ("building", "attached"),
    ("canceling", "attached"),
    ("binding", "attached"),
    ("connecting", "attached"),
    ("reconnecting", "attached"),
    ("starting", "attached"),
    ("ready", "exists"),
    ("selection_error", "exists"),
    ("startup_failed", "exists"),
]


@pytest.mark.parametrize(("situation", "outcome"), NOTHING_DONE)
def test_it_answers_with_what_is_there(situation: str, outcome: str) -> None:
    """Where a workspace is there, on its way or stopping, nothing is done."""
    stage = a_chat_in(situation)
    before = stage.chat

    step = stage.create()

    assert (step.outcome, step.jobs, step.moves) == (outcome, [], [])
    assert stage.chat == before


BUILD_AWAITED = ["creating", "building", "stopping", "deleting"]


@pytest.mark.parametrize("situation", BUILD_AWAITED)
def test_it_names_the_build_that_is_waited_for(situation: str) -> None:
    """A build in flight is named in the answer."""
    stage = a_chat_in(situation)

    assert stage.create().answer.build_id == stage.build.id


@pytest.mark.parametrize("situation", ["binding", "connecting", "starting", "ready", "stopped"])
def test_it_names_no_build_where_none_is_waited_for(situation: str) -> None:
    """A build that is over is not waited for."""
    assert a_chat_in(situation).create().answer.build_id is None


SENT_BACK = [
    ("not_taken", "creating", 600),
    ("build_timeout", "building", 600),
    ("never_connected", "connecting", 120),
    ("agent_disconnected", "connecting", 0),
    ("startup_timeout", "starting", 600),
    ("startup_timeout_lost", "connecting", 30),
    ("startup_failed_lost", "connecting", 30),
]


@pytest.mark.parametrize(("situation", "state", "seconds"), SENT_BACK)
def test_it_waits_again(situation: str, state: str, seconds: int) -> None:
    """A chat that gave up too early goes back to what it waited for, with a deadline."""
    stage = a_chat_in(situation)
    build = stage.build

    step = stage.create()

    assert (step.outcome, step.jobs, step.moves) == ("attached", [], [(State.FAILED, State(state))])
    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - stage.now).total_seconds() == pytest.approx(seconds, abs=0.001)
    assert stage.chat.failure is None
    assert stage.build.id == build.id


def test_what_is_left_of_the_grace_counts() -> None:
    """Ten seconds after the agent was lost, twenty are left."""
    stage = a_chat_in("startup_failed_lost").wait(10)

    step = stage.create()

    assert [timer.at for timer in step.timers()] == [stage.chat.deadline_at]
    assert stage.chat.deadline_at is not None
    assert (stage.chat.deadline_at - stage.now).total_seconds() == 20


REPLACED = [
    ("stop_failed", "stop"),
    ("stop_canceled", "stop"),
    ("delete_failed", "stop"),
    ("failed_untaken", "delete"),
    ("build_failed", "delete"),
    ("quota", "delete"),
    ("canceled_untaken", "delete"),
    ("canceled", "delete"),
    ("no_agent", "delete"),
    ("agents_unknown", "delete"),
    ("link_timeout", "delete"),
    ("long_disconnected", "stop"),
    ("startup_failed_long_lost", "delete"),
    ("ended_by_limit_then_built", "delete"),
]


@pytest.mark.parametrize(("situation", "clean_up"), REPLACED)
def test_it_replaces_what_is_lost(situation: str, clean_up: str) -> None:
    """A lost workspace is cleaned up, deleted when it never was ready, and a new one takes its place."""
    stage = a_chat_in(situation)
    old, before = stage.workspace, stage.chat

    step = stage.create()

    assert step.outcome == "accepted"
    assert step.jobs == [clean_up, "start"]
    assert step.moves == [(before.state, State.CREATING)]
    assert stage.chat.version == before.version + 1
    assert stage.workspace.id != old.id
    assert step.answer.build_id == stage.build.id
    assert (stage.chat.build_id, stage.chat.agent_id) == (stage.build.id, None)
    replaced = stage.facts_of(old.id)
    assert replaced.build is not None
    assert replaced.build.transition == clean_up
    assert replaced.workspace.name_released == (clean_up == "delete")


@pytest.mark.parametrize("situation", ["no_workspace", "deleted"])
def test_it_makes_a_workspace_where_none_is(situation: str) -> None:
    """Nothing is cleaned up where nothing is left."""
    stage = a_chat_in(situation)

    step = stage.create()

    assert (step.outcome, step.jobs, step.moves) == ("accepted", ["start"], [(State.IDLE, State.CREATING)])


def test_the_first_create_makes_the_chat() -> None:
    """A chat without a row counts as idle; its first transition is version 1."""
    stage = Stage()

    step = stage.create(parent_chat_id=ANOTHER_CHAT)

    assert step.moves == [(State.IDLE, State.CREATING)]
    assert (stage.chat.version, stage.chat.owner_id, stage.chat.organization_id) == (1, OWNER, ORGANIZATION)
    assert stage.chat.parent_chat_id == ANOTHER_CHAT
    assert stage.chat.cause is not None
    assert stage.chat.cause.event == "create"


def test_intent_comes_first() -> None:
    """Workspace, build, job, parameters and the chat's new state are in the rows that the job is published after."""
    stage = Stage()

    step = stage.create()

    [job] = [effect.job for effect in step.said if isinstance(effect, PublishJob)]
    assert (job.workspace.id, job.build_id, job.job_id) == (stage.workspace.id, stage.build.id, stage.build.job_id)
    assert job.id == f"{stage.workspace.id}:{stage.build.id}"
    assert stage.snapshot.workspace is not None
    assert (stage.snapshot.workspace.name, stage.snapshot.build_id) == ("docker-0000", stage.build.id)


def test_a_workspace_of_two_chats_is_left_alone() -> None:
    """Another chat may still use what this one gives up."""
    stage = a_chat_in("build_failed")
    old = stage.workspace.id
    stage.chat_id = ANOTHER_CHAT
    stage.attach(workspace_id=old)
    stage.chat_id = CHAT

    step = stage.create()

    assert (step.outcome, step.jobs) == ("accepted", ["start"])
    assert stage.chats[ANOTHER_CHAT].workspace_id == old


def test_a_clean_up_that_failed_is_not_repeated() -> None:
    """The workspace stays visible; the chat gets a new one and the old one no second clean-up."""
    stage = a_chat_in("connecting")
    stage.cancel()
    stage.job("failed", error="still mounted")

    step = stage.create()

    assert (step.outcome, step.jobs) == ("accepted", ["start"])


def test_a_stopped_workspace_needs_no_clean_up() -> None:
    """What was ready and is stopped already stays as it is, when a new build of it failed and was stopped again."""
    stage = a_chat_in("stopped")

    assert stage.create().outcome == "stopped"


@pytest.mark.parametrize(("seconds", "outcome"), [(120, "exists"), (121, "accepted")])
def test_with_a_selection_error_the_first_root_agent_stands_for_the_agent(seconds: int, outcome: str) -> None:
    """Only when that agent is lost the workspace is."""
    stage = a_chat_in("selection_error").wait(seconds)

    assert stage.create().outcome == outcome


def test_a_selection_error_with_a_connected_agent_exists() -> None:
    """The first root agent is connected, however long ago it was made."""
    stage = a_chat_in("selection_error")
    stage.connected(stage.facts.agents[0])
    stage.wait(1000)

    assert stage.create().outcome == "exists"


def test_a_template_without_id_is_refused_before_the_state_is_looked_at() -> None:
    """Checks 1 and 2 come first, in every state."""
    stage = a_chat_in("ready")

    assert stage.create(template_id=" ").answer.error_status == 400


def test_another_template_does_not_matter_where_a_workspace_is() -> None:
    """Checks 3 to 9 run only for a new workspace."""
    stage = a_chat_in("ready")

    assert stage.create(template_id=ANOTHER_CHAT).outcome == "exists"


@pytest.mark.parametrize(
    ("own", "setting", "expected"), [(None, "8h", 28_800_000), (60_000, "8h", 28_800_000), (60_000, "", 60_000)]
)
def test_the_workspace_gets_its_ttl(own: int | None, setting: str, expected: int) -> None:
    """The setting wins over the template's default."""
    stage = Stage(templates=[a_template(default_ttl_ms=own)])
    stage.settings = replace(stage.settings, workspace_ttl=_span(setting))

    stage.create()

    assert stage.workspace.ttl_ms == expected


def _span(text: str) -> object:
    from workspaced.fsm.settings import check_setting

    return check_setting("workspace_ttl", text)
