"""The queue of start builds: who waits, whose turn it is, and what ends the waiting (docs/behaviour.md)."""

from datetime import timedelta
from typing import Any

import pytest

from tests.builders import ANOTHER_CHAT, CHAT, OWNER, STRANGER, TEMPLATE, VERSION, a_template, a_version, an_id
from tests.stage import Stage
from tests.step import Step
from workspaced.fsm.commands import Owner
from workspaced.fsm.effects import QueueTurn, SetTimer
from workspaced.fsm.facts import Queue, job_status
from workspaced.fsm.queue import AT_ONCE, called
from workspaced.fsm.rows import Queued
from workspaced.fsm.settings import settings_from
from workspaced.fsm.state import State

THIRD_CHAT = an_id(12)


def a_limited_stage(**limits: str) -> Stage:
    """Builds are limited, one per template unless it is told."""
    return Stage(settings=settings_from(limits or {"builds_per_template": "1"}))


def create(stage: Stage, chat_id: str, owner: str = OWNER, **changed: Any) -> Step:  # noqa: ANN401 - any field
    """Another chat's create, which is the stage's chat from then on, a second later."""
    stage.chat_id = chat_id
    stage.wait(1)
    return stage.create(owner=Owner(owner, "ann"), **changed)


def create_and_look(stage: Stage, chat_id: str, owner: str = OWNER) -> Step:
    """A create, and the look at the queue that it asks for."""
    create(stage, chat_id, owner)
    return stage.turn()


def turns(step: Step) -> list[QueueTurn]:
    """The looks at the queue that are asked for."""
    return [effect.due for effect in step.said if isinstance(effect, SetTimer) and isinstance(effect.due, QueueTurn)]


def test_without_limits_nothing_waits() -> None:
    """The job is on its queue at once, and nobody looks at a queue of builds, also when it ends."""
    stage = Stage()

    asked = [stage.create(), stage.job("running"), stage.built()]

    assert asked[0].jobs == ["start"]
    assert [turns(step) for step in asked] == [[], [], []]


def test_a_start_build_joins_the_queue() -> None:
    """All is committed but the job; the chat says what it waits for, with the queue's deadline."""
    stage = a_limited_stage()

    step = stage.create()

    assert (step.outcome, step.jobs, turns(step)) == ("accepted", [], [QueueTurn(stage.workspace.id, stage.build.id)])
    assert (stage.state, stage.snapshot.waiting_for, stage.snapshot.queue) == (State.CREATING, "queue", None)
    assert stage.chat.deadline_at == stage.now + timedelta(minutes=30)
    assert stage.snapshot.workspace is not None
    assert stage.snapshot.workspace.job_status == "pending"


def test_its_turn_comes() -> None:
    """The job is published with its pending limit, and the creating deadline begins; told once."""
    stage = a_limited_stage()
    stage.create()
    stage.wait(60)

    step = stage.turn()

    assert (step.jobs, step.moves) == (["start"], [(State.CREATING, State.CREATING)])
    assert step.transitions[0].cause.event == "queue"
    assert (stage.snapshot.waiting_for, stage.snapshot.queue) == ("provisioner", None)
    assert stage.chat.deadline_at == stage.now + timedelta(minutes=10)
    assert stage.build.released_at == stage.now
    assert [timer for timer in step.said if isinstance(timer, SetTimer) and timer.due.slot == stage.build.job_id]
    assert stage.turn().transitions == []


def test_the_time_in_the_queue_is_not_typical_of_creating() -> None:
    """How long others' builds took says nothing about how long a job waits for a provisioner."""
    stage = a_limited_stage()
    stage.create()
    stage.wait(60)
    stage.turn()
    stage.wait(2)

    step = stage.job("running")

    assert step.transitions[0].took_ms == 2000


def test_one_beyond_the_limit_is_told_its_place() -> None:
    """Once, by a push of its own; as long as it waits nothing else is told."""
    stage = a_limited_stage()
    create_and_look(stage, CHAT)

    create(stage, ANOTHER_CHAT, STRANGER)
    step = stage.turn()

    assert (step.jobs, step.moves) == ([], [(State.CREATING, State.CREATING)])
    assert stage.snapshot.queue == Queue(1, "template", 1)
    assert stage.turn().transitions == []


def test_a_burst_is_let_go_up_to_the_limit() -> None:
    """One look for a whole batch: the oldest go, the others stand behind each other."""
    stage = a_limited_stage(builds_per_owner="2")
    chats = [an_id(500 + number) for number in range(5)]
    for chat_id in chats:
        create(stage, chat_id)
    workspaces = [stage.chats[chat_id].workspace_id or "" for chat_id in chats]

    step = stage.turn(*workspaces)

    queued = [(build.queue and build.queue.place) for key in workspaces if (build := stage.facts_of(key).build)]
    assert (step.jobs, queued) == (["start", "start"], [None, None, 1, 2, 3])


@pytest.mark.parametrize("end", ["succeeded", "failed", "canceled"])
def test_the_next_one_follows_an_end(end: str) -> None:
    """Whatever ends a build has the queue looked at; a chat that is not ready yet holds no place."""
    stage = a_limited_stage()
    create_and_look(stage, CHAT)
    first = stage.build
    create_and_look(stage, ANOTHER_CHAT)

    over = stage.job(end, first)  # type: ignore[arg-type]  # one of the statuses

    assert turns(over) == [QueueTurn(first.workspace_id, first.id)]
    assert stage.take(stage.item(turns(over)[0])).jobs == ["start"]
    assert stage.snapshot.waiting_for == "provisioner"


def test_an_owner_at_the_limit_holds_up_nobody_else() -> None:
    """A younger build of another owner overtakes, also from the same template."""
    stage = a_limited_stage(builds_per_owner="1", builds_per_template="2")
    create_and_look(stage, CHAT)
    create_and_look(stage, ANOTHER_CHAT)
    assert stage.snapshot.queue == Queue(1, "owner", 1)

    step = create_and_look(stage, THIRD_CHAT, STRANGER)

    assert step.jobs == ["start"]


def test_cancel_takes_a_build_out_of_the_queue() -> None:
    """As a pending job; the place is free at once and the job is never published."""
    stage = a_limited_stage()
    create_and_look(stage, CHAT)
    create_and_look(stage, ANOTHER_CHAT)
    create_and_look(stage, THIRD_CHAT)
    stage.chat_id = ANOTHER_CHAT

    step = stage.cancel()

    assert (step.outcome, stage.failure) == ("accepted", ("creating", "build_canceled"))
    assert (stage.build.queue, len(turns(step))) == (None, 1)
    assert stage.take(stage.item(turns(step)[0])).jobs == []


def test_delete_takes_a_build_out_of_the_queue() -> None:
    """Its delete build is no start build and waits for nobody."""
    stage = a_limited_stage()
    create_and_look(stage, CHAT)
    create_and_look(stage, ANOTHER_CHAT)

    step = stage.delete()

    assert (step.outcome, step.jobs, stage.state) == ("accepted", ["delete"], State.IDLE)


def test_stop_and_restart_of_a_queued_build_are_conflicts() -> None:
    """As while a job is pending."""
    stage = a_limited_stage()
    stage.create()

    assert (stage.stop().outcome, stage.restart().outcome, stage.start().outcome) == (
        "conflict",
        "conflict",
        "attached",
    )


def test_waiting_ends_with_the_queue_deadline() -> None:
    """The build is over, so it takes nobody's turn; the failure names limit and place, and a start joins again."""
    stage = a_limited_stage()
    create_and_look(stage, CHAT)
    create_and_look(stage, ANOTHER_CHAT)

    step = stage.expire()

    assert (stage.failure, job_status(stage.build)) == (("creating", "queue_timeout"), "failed")
    assert stage.message == (
        "timed out waiting in the queue of workspace builds: not begun within 30m, because only 1 may run at once for "
        "this template; it joined as number 1"
    )
    assert stage.chat.failure is not None
    assert stage.chat.failure.retryable
    assert len(turns(step)) == 1
    assert stage.start().outcome == "accepted"
    assert stage.snapshot.waiting_for == "queue"


def test_all_chats_of_a_build_see_its_turn() -> None:
    """One that attached while it waited gets the creating deadline as well."""
    stage = a_limited_stage()
    stage.create()
    workspace = stage.workspace.id
    stage.chat_id = ANOTHER_CHAT
    stage.wait(5).attach(workspace_id=workspace)
    assert stage.snapshot.waiting_for == "queue"

    stage.wait(5).turn()

    assert {chat.deadline_at for chat in stage.chats.values()} == {stage.now + timedelta(minutes=10)}


def test_somebody_elses_build_neither_waits_nor_counts() -> None:
    """It closes one that waits; the queue is looked at, for that one has left it."""
    stage = a_limited_stage()
    stage.create()

    step = stage.created_elsewhere()

    assert (len(turns(step)), stage.build.queue, stage.snapshot.waiting_for) == (1, None, "provisioner")
    assert create_and_look(stage, ANOTHER_CHAT).jobs == ["start"]


def test_a_restarts_start_waits_too() -> None:
    """It joins when the stop is done."""
    stage = Stage()
    stage.create()
    stage.built()
    stage.settings = settings_from({"builds_per_owner": "1"})
    create_and_look(stage, ANOTHER_CHAT)
    stage.chat_id = CHAT
    stage.restart()

    step = stage.job("succeeded")

    assert (step.jobs, stage.snapshot.waiting_for, len(turns(step))) == ([], "queue", 1)
    stage.turn()
    assert stage.snapshot.queue == Queue(1, "owner", 1)


def test_a_redelivered_look_says_the_same_again() -> None:
    """A crash between its commit and its effects loses nothing."""
    stage = a_limited_stage()
    stage.create()
    item = stage.item(QueueTurn(stage.workspace.id, stage.build.id))
    assert stage.take(item).jobs == ["start"]

    again = stage.take(item)

    assert (again.transitions, [row.version for row in again.replayed]) == ([], [2])


def test_a_look_that_is_still_to_be_said_is_said_again() -> None:
    """A crash between the commit of a create and its wake-up."""
    stage = a_limited_stage()
    item = stage.asking("create")
    said = turns(stage.take(item))

    assert turns(stage.take(item)) == said


def a_queue(length: int, **limits: int) -> list[Queued]:
    """Builds of one owner and template."""
    return [
        Queued(
            workspace_id=an_id(1000 + number),
            build_id=an_id(2000 + number),
            owner_id=OWNER,
            template_id=TEMPLATE,
            owner_place=number + 1,
            template_place=number + 1,
            **{"per_owner": 0, "per_template": 0, "owner_running": 0, "template_running": 0} | limits,
        )
        for number in range(length)
    ]


def test_the_longer_of_two_lines_is_told() -> None:
    """Of the limits that hold a build back."""
    row = Queued(an_id(1), an_id(2), OWNER, TEMPLATE, 1, 5, 1, 5, 2, 9)

    assert [place for _, place in called([row])] == [Queue(9, "template", 5)]


def test_few_are_let_go_at_once() -> None:
    """A limit that is lifted over a long queue makes no endless transaction: the next look is asked for."""
    places = [place for _, place in called(a_queue(AT_ONCE + 2))]

    assert (places.count(None), places[-1]) == (AT_ONCE, Queue())


def test_the_next_look_follows_a_full_one() -> None:
    """Until all are gone."""
    stage = Stage(
        templates=[a_template()], versions=[a_version(VERSION)], settings=settings_from({"builds_per_owner": "900"})
    )
    chats = [an_id(5000 + number) for number in range(AT_ONCE + 1)]
    for chat_id in chats:
        create(stage, chat_id)

    step = stage.turn()

    assert (len(step.jobs), len(turns(step))) == (AT_ONCE, 1)
    last = stage.take(stage.item(turns(step)[0]))
    assert (len(last.jobs), turns(last)) == (1, [])
