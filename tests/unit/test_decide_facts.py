"""What events do to a chat: the binding, announcements, and what nobody can use."""

from typing import Any

import pytest

from tests.builders import AGENT, ANOTHER_CHAT, CHAT, an_id
from tests.situations import a_chat_in
from workspaced.fsm.apply import apply
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import AgentConnected, AgentDisconnected, ConnectionLost, LifecycleChanged
from workspaced.fsm.facts import job_status
from workspaced.fsm.inputs import Input, WorkspaceEvent
from workspaced.fsm.state import State
from workspaced.fsm.values import JobStatus

MISMATCHES: list[dict[str, Any]] = [
    {"build_id": an_id(4711)},
    {"build_number": 2},
    {"job_id": an_id(4711)},
    {"build_id": an_id(4711), "job_id": an_id(4712)},
]


@pytest.mark.parametrize("changed", MISMATCHES)
def test_ids_that_do_not_belong_together_are_refused(changed: dict[str, Any]) -> None:
    """DEAD `mismatch`; nothing is changed and the batch goes on."""
    stage = a_chat_in("creating")
    world = stage.world()

    with pytest.raises(UndecodableMessage) as caught:
        apply(world, stage.reporting("running", **changed))

    assert caught.value.reason == "mismatch"
    assert all(not getattr(world.changes(), name) for name in world.changes().__struct_fields__)


def test_an_unknown_workspace_is_refused() -> None:
    """DEAD `unknown_workspace`."""
    stage = a_chat_in("creating")

    with pytest.raises(UndecodableMessage) as caught:
        stage.take(stage.item(WorkspaceEvent(an_id(4711), AgentConnected("S", 1), AGENT)))

    assert caught.value.reason == "unknown_workspace"


def test_too_many_agents_are_refused() -> None:
    """At most 100 wait to be announced; what is known of those still changes."""
    stage = a_chat_in("building")

    def connected(number: int) -> Input:
        return stage.item(WorkspaceEvent(stage.workspace.id, AgentConnected("S", number), an_id(9000 + number)))

    stage.take(*(connected(number) for number in range(100)))
    with pytest.raises(UndecodableMessage) as caught:
        stage.take(connected(100))

    assert caught.value.reason == "too_many_agents"
    stage.take(stage.item(WorkspaceEvent(stage.workspace.id, LifecycleChanged("S", 1, "ready"), an_id(9001))))
    assert stage.facts.agent(an_id(9001)) is not None
    assert len(stage.facts.agents) == 100


def test_an_early_agent_counts_once_it_is_announced() -> None:
    """It called home before its build reported success."""
    stage = a_chat_in("building")
    workspace = stage.workspace.id
    stage.take(stage.item(WorkspaceEvent(workspace, AgentConnected("S", 1), AGENT)))
    stage.take(stage.item(WorkspaceEvent(workspace, LifecycleChanged("S", 1, "ready"), AGENT)))
    assert stage.state is State.BUILDING

    step = stage.built(stage.an_agent_report(id=AGENT))

    assert [row.to_state.value for row in step.transitions] == ["binding", "connecting", "starting", "ready"]
    assert stage.chat.agent_id == AGENT


def test_early_agents_are_dropped_with_the_next_build() -> None:
    """They belong to a build that is not the latest any more."""
    stage = a_chat_in("building")
    stage.take(stage.item(WorkspaceEvent(stage.workspace.id, AgentConnected("S", 1), AGENT)))

    stage.created_elsewhere()

    assert stage.facts.agents == ()


@pytest.mark.parametrize("event", [AgentConnected, AgentDisconnected])
def test_an_agent_of_an_older_build_is_stale(event: Any) -> None:  # noqa: ANN401 - a class
    """Every build has new agents."""
    stage = a_chat_in("ready")
    old = stage.agent
    stage.created_elsewhere()

    step = stage.take(stage.item(WorkspaceEvent(stage.workspace.id, event("S", 9, build_id=old.build_id), old.id)))

    assert (step.moves, len(stage.stale), stage.facts.agents) == ([], 1, ())


@pytest.mark.parametrize("status", ["pending", "running", "succeeded", "failed", "canceled"])
def test_a_job_of_an_older_build_is_stale(status: JobStatus) -> None:
    """It is recorded for history and changes nothing."""
    stage = a_chat_in("ready")
    old = stage.build
    stage.stop()
    before = stage.build

    step = stage.job(status, old)

    assert (stage.build, step.moves) == (before, [])
    assert [row.reason for row in step.changes.stale] == ["an older or unknown build"]


def test_the_triple_is_written_by_the_move_that_leaves_binding() -> None:
    """Before it there is no agent, after it agent and build are of one build (domain.md 7.2)."""
    stage = a_chat_in("ready")

    bound = [(row.from_state.value, row.to_state.value, row.agent_id is None) for row in stage.history]

    assert bound == [
        ("idle", "creating", True),
        ("creating", "building", True),
        ("building", "binding", True),
        ("binding", "connecting", False),
        ("connecting", "starting", False),
        ("starting", "starting", False),
        ("starting", "ready", False),
    ]


@pytest.mark.parametrize("verb", ["stop", "restart", "delete"])
def test_a_requested_build_drops_the_agent_at_once(verb: str) -> None:
    """The push of that moment shows null."""
    stage = a_chat_in("ready")

    step = getattr(stage, verb)()

    assert step.transitions[0].agent_id is None
    assert b'"agent_id":null' in bytes(step.transitions[0].snapshot)


ANNOUNCED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("stopping", "job", ("running",)),
    ("building", "job", ("canceling",)),
    ("connecting", "lifecycle", ("starting",)),
    ("startup_failed", "lost", ()),
    ("startup_failed", "lifecycle", ("off",)),
]


@pytest.mark.parametrize(("situation", "name", "arguments"), ANNOUNCED)
def test_a_visible_change_is_announced(situation: str, name: str, arguments: tuple[Any, ...]) -> None:
    """A transition from the state to itself has its own version and keeps the state's beginning and deadline."""
    stage = a_chat_in(situation)
    before = stage.wait(1).chat

    step = getattr(stage, name)(*arguments)

    assert step.moves == [(before.state, before.state)]
    assert stage.chat.version == before.version + 1
    assert (stage.chat.entered_at, stage.chat.deadline_at) == (before.entered_at, before.deadline_at)
    assert step.transitions[0].took_ms is None


QUIET: list[tuple[str, str, tuple[Any, ...]]] = [
    ("creating", "job", ("pending",)),
    ("building", "job", ("running",)),
    ("starting", "lifecycle", ("starting",)),
    ("ready", "connected", ()),
    ("ready", "lifecycle", ("ready",)),
    ("stopped", "job", ("succeeded",)),
]


@pytest.mark.parametrize(("situation", "name", "arguments"), QUIET)
def test_what_nobody_can_see_is_not_announced(situation: str, name: str, arguments: tuple[Any, ...]) -> None:
    """A repeated report moves no chat."""
    stage = a_chat_in(situation)
    version = stage.chat.version

    getattr(stage, name)(*arguments)

    assert stage.chat.version == version


def test_another_agents_changes_are_not_announced() -> None:
    """Only the bound agent is in the snapshot."""
    stage = a_chat_in("building")
    stage.built(stage.an_agent_report("a"), stage.an_agent_report("b"))
    version = stage.chat.version

    stage.connected(stage.facts.agents[1])

    assert stage.chat.version == version


def test_a_blink_is_not_a_death() -> None:
    """ready, connecting, starting, ready: the link, not the workspace, was lost."""
    stage = a_chat_in("ready")

    steps = [stage.lost(), stage.wait(3).connected()]

    assert [move for step in steps for move in step.moves] == [
        (State.READY, State.CONNECTING),
        (State.CONNECTING, State.STARTING),
        (State.STARTING, State.READY),
    ]


def test_a_reconnect_before_its_disconnect() -> None:
    """A late disconnect never undoes a newer connect."""
    stage = a_chat_in("ready")
    agent = stage.agent
    stage.take(stage.item(WorkspaceEvent(stage.workspace.id, AgentConnected("S", 2), agent.id)))

    step = stage.lost()

    assert (step.moves, stage.state) == ([], State.READY)


def test_an_advisory_before_its_connect() -> None:
    """The connection is gone already when the agent's word of it arrives."""
    stage = a_chat_in("connecting")
    stage.lost()
    assert len(stage.departures) == 1

    step = stage.connected()

    assert stage.state is State.CONNECTING
    assert stage.snapshot.agent is not None
    assert stage.snapshot.agent.link == "disconnected"
    assert step.moves == [(State.CONNECTING, State.CONNECTING)]


def test_a_connection_that_may_be_gone() -> None:
    """Its server did not answer; the agent that tells it again is believed."""
    stage = a_chat_in("ready")
    lost = stage.item(ConnectionLost("S", stage.client_id, certain=False))

    assert stage.take(lost).moves == [(State.READY, State.CONNECTING)]
    stage.wait(1).connected()
    assert stage.state is State.READY


def test_an_advisory_about_nobody() -> None:
    """Chat daemons and engines come and go as well."""
    stage = a_chat_in("ready")

    step = stage.take(stage.item(ConnectionLost("S", 4711)))

    assert (step.moves, step.said) == ([], [])


def test_one_agent_cannot_disconnect_another() -> None:
    """A disconnect counts for the agent that its subject names."""
    stage = a_chat_in("ready")
    event = WorkspaceEvent(stage.workspace.id, AgentDisconnected("S", stage.client_id), an_id(901))

    step = stage.take(stage.item(event))

    assert (step.moves, stage.state) == ([], State.READY)


def test_agents_of_one_connection_are_lost_together() -> None:
    """A sub-agent may share its parent's process."""
    stage = a_chat_in("connecting")
    stage.connected()
    stage.take(stage.item(WorkspaceEvent(stage.workspace.id, AgentConnected("S", stage.client_id), an_id(901))))

    stage.lost()

    assert [agent.gone for agent in stage.facts.agents] == [True, True]


def test_all_chats_of_a_workspace_move() -> None:
    """Each has its own versions and the same cause."""
    stage = a_chat_in("creating")
    stage.chat_id = ANOTHER_CHAT
    stage.attach(from_chat_id=CHAT)

    step = stage.job("running")

    assert {(row.chat_id, row.version, row.to_state) for row in step.transitions} == {
        (CHAT, 2, State.BUILDING),
        (ANOTHER_CHAT, 2, State.BUILDING),
    }
    assert len({row.cause for row in step.transitions}) == 1


def test_a_job_that_is_tried_again() -> None:
    """A higher attempt is news of the same status; a lower one is stale."""
    stage = a_chat_in("building")

    stage.job("running", attempt=2, worker="b")
    stage.job("running", attempt=1, worker="a")
    stage.job("succeeded", attempt=1, agents=())

    assert (stage.build.attempt, stage.build.worker, job_status(stage.build)) == (2, "b", "running")


def test_agents_that_come_with_a_repeated_success() -> None:
    """The first one lacked them; later lists do not count."""
    stage = a_chat_in("binding")
    stage.built(stage.an_agent_report("one"))
    first = stage.chat.agent_id

    stage.built(stage.an_agent_report("two"))

    assert (stage.state, stage.chat.agent_id) == (State.CONNECTING, first)
    assert [agent.name for agent in stage.facts.agents] == ["one"]


@pytest.mark.parametrize("situation", ["stopping", "deleting"])
def test_agents_of_a_stop_or_delete_are_ignored(situation: str) -> None:
    """Nothing runs after them (wire.md section 8)."""
    stage = a_chat_in(situation)

    stage.built()

    assert stage.facts.agents == ()


def test_after_a_selection_error_the_first_agents_link_is_announced() -> None:
    """It is in the snapshot, in place of a bound agent's; its lifecycle is not."""
    stage = a_chat_in("selection_error")

    steps = [stage.connected(stage.facts.agents[0]), stage.connected(stage.facts.agents[1]), stage.lifecycle("ready")]

    assert [step.moves for step in steps] == [[(State.FAILED, State.FAILED)], [], []]
