"""Repeated requests, and inputs that are delivered again: decided once, said again, nothing twice."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from tests.situations import a_chat_in
from tests.stage import Stage
from workspaced.fsm.commands import Verb
from workspaced.fsm.effects import Effect, PublishJob
from workspaced.fsm.state import State
from workspaced.fsm.values import JobStatus


def test_the_same_request_gets_the_stored_answer() -> None:
    """Outcome and build id of then, the snapshot of now, and nothing is done."""
    stage = Stage()
    first = stage.create(request_id="one")
    stage.job("running")

    step = stage.create(request_id="one")

    assert (step.outcome, step.answer.build_id) == ("accepted", first.answer.build_id)
    assert step.answers[0].replayed
    assert step.answers[0].snapshot is not None
    assert step.answers[0].snapshot.state is State.BUILDING
    assert (step.moves, step.said, step.changes.inputs) == ([], [], [])


def test_another_request_under_the_same_id_is_refused() -> None:
    """Verb and body are compared."""
    stage = Stage()
    stage.create(request_id="one")

    for again in (stage.create(request_id="one", name="dev"), stage.stop(request_id="one")):
        assert again.answer.error is not None
        assert (again.answer.error_status, again.answer.error.code) == (409, "request_id_reused")
        assert again.moves == []


def test_request_ids_belong_to_a_chat() -> None:
    """Two chats may use the same."""
    stage = Stage()
    stage.create(request_id="one")
    stage.chat_id = "00000000-0000-0000-0000-00000000000b"

    assert stage.create(request_id="one").outcome == "accepted"


def test_a_refused_request_id_may_be_used_again() -> None:
    """The record of the refusal does not hold it."""
    stage = Stage()
    stage.create(request_id="one", template_id="")

    assert stage.create(request_id="one").outcome == "accepted"


def test_a_refused_message_is_never_obeyed_later() -> None:
    """Delivered again, it gets its refusal again, although it would be accepted now."""
    stage = Stage()
    first = stage.start(request_id="one")
    stage = a_chat_in("stopped", stage=stage)

    step = stage.take(replace(stage.asking("start"), key="EVENTS/1/1"))

    assert step.answer.error == first.answer.error
    assert step.answers[0].replayed
    assert (step.moves, step.jobs) == ([], [])


VERBS: list[tuple[str, Verb]] = [
    ("no_workspace", "create"),
    ("link_timeout", "create"),
    ("stopped", "start"),
    ("not_taken", "start"),
    ("ready", "stop"),
    ("ready", "restart"),
    ("creating", "delete"),
    ("building", "cancel"),
    ("ready", "unreachable"),
    ("ready", "start"),
]


@pytest.mark.parametrize(("situation", "verb"), VERBS)
def test_a_redelivered_command_says_its_effects_again(situation: str, verb: Verb) -> None:
    """The same transitions, effects and answer, and no row."""
    stage = a_chat_in(situation)
    item = stage.asking(verb)
    first = stage.take(item)
    rows = (dict(stage.chats), dict(stage.builds), dict(stage.workspaces), list(stage.history))

    again = stage.take(item)

    assert (again.replayed, _jobs(again.said)) == (first.transitions, _jobs(first.said))
    assert (again.outcome, again.answer.build_id) == (first.outcome, first.answer.build_id)
    assert again.answers[0].replayed
    assert (dict(stage.chats), dict(stage.builds), dict(stage.workspaces), list(stage.history)) == rows
    assert again.changes.inputs == []


def _jobs(effects: Iterable[Effect]) -> list[PublishJob]:
    return [effect for effect in effects if isinstance(effect, PublishJob)]


EVENTS: list[tuple[str, JobStatus]] = [
    ("creating", "running"),
    ("building", "succeeded"),
    ("building", "failed"),
    ("restarting", "succeeded"),
    ("canceling", "succeeded"),
]


@pytest.mark.parametrize(("situation", "status"), EVENTS)
def test_a_redelivered_event_says_its_effects_again(situation: str, status: JobStatus) -> None:
    """The rows that it made are announced again, with the effects that they recorded."""
    stage = a_chat_in(situation)
    item = stage.reporting(status)
    first = stage.take(item)

    again = stage.take(item)

    assert again.replayed == first.transitions
    assert (again.transitions, again.changes.stale, again.changes.builds) == ([], [], [])


def test_effects_that_belong_to_no_transition_are_said_again_too() -> None:
    """A stale `running` of a canceled job made no transition, but it is answered each time."""
    stage = a_chat_in("canceling")
    item = stage.reporting("running", attempt=2)
    first = stage.take(item)

    again = stage.take(item)

    assert first.stopped == again.stopped != []
    assert (again.changes.inputs, again.changes.stale) == ([], [])


@pytest.mark.parametrize("status", ["running", "succeeded", "pending"])
def test_a_message_twice_in_one_batch(status: JobStatus) -> None:
    """The second is no second report: not even a stale one."""
    stage = a_chat_in("creating")
    item = stage.reporting(status)

    step = stage.take(item, item)

    assert step.changes.stale == []
    assert len({row.version for row in step.transitions}) == len(step.transitions)


def test_a_command_twice_in_one_batch() -> None:
    """One workspace, two answers."""
    stage = Stage()
    item = stage.asking("create")

    step = stage.take(item, item)

    assert [answer.replayed for answer in step.answers] == [False, True]
    assert len(stage.workspaces) == 1


def test_one_request_in_two_messages_of_one_batch() -> None:
    """A client that asks again while the first request is on its way gets the same workspace."""
    stage = Stage()
    item = stage.asking("create", request_id="one")

    step = stage.take(item, replace(item, key="EVENTS/1/99"))

    assert [answer.row.outcome for answer in step.answers] == ["accepted", "accepted"]
    assert step.jobs == ["start"]


def test_a_deadline_that_goes_off_twice() -> None:
    """The second finds another version."""
    stage = a_chat_in("creating")
    version = stage.chat.deadline_version
    stage.expire()
    stage.create()

    step = stage.expire(version)

    assert (step.moves, stage.state) == ([], State.CREATING)


def test_a_redelivered_deadline_is_announced_again() -> None:
    """It moved the chat once, and what it said is said again."""
    stage = a_chat_in("creating")
    item = stage.expiring()
    first = stage.take(item)

    again = stage.take(item)

    assert first.moves == [(State.CREATING, State.FAILED)]
    assert (again.replayed, again.moves) == (first.transitions, [])
