"""Agents' reports and the server's advisories: any order, repetition and delay ends in the same facts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import AGENT, NOW, a_build, an_agent, facts_with
from tests.situations import a_chat_in
from tests.stage import Stage
from workspaced.fsm.events import AgentConnected, AgentDisconnected, AgentEvent, ConnectionLost, LifecycleChanged
from workspaced.fsm.facts import Agent, Facts, agent_link, agent_link_since
from workspaced.fsm.inputs import WorkspaceEvent
from workspaced.fsm.merge_agent import lose_connection, merge_agent
from workspaced.fsm.reach import Reach, reach
from workspaced.fsm.state import State
from workspaced.fsm.values import Connection, Lifecycle

Report = tuple[AgentEvent | ConnectionLost, datetime]
LIFECYCLES: list[Lifecycle] = ["starting", "start_timeout", "start_error", "ready", "shutting_down", "off"]


@st.composite
def lives(draw: st.DrawFn) -> list[Report]:
    """All that is told about one agent: connection after connection on two servers, its clock never going back.

    Every connection but the last is gone at the end, and the server says so, unless the server itself died.
    """
    clock, clients = NOW, {"A": 0, "B": 0}
    told: list[Report] = []

    def now() -> datetime:
        nonlocal clock
        clock += timedelta(microseconds=draw(st.integers(1, 3)))
        return clock

    for _ in range(draw(st.integers(1, 4))):
        server = draw(st.sampled_from("AB"))
        clients[server] += draw(st.integers(1, 3))
        client = clients[server]
        told.append((AgentConnected(server, client), now()))
        for state in draw(st.lists(st.none() | st.sampled_from(LIFECYCLES), max_size=4)):
            again = AgentConnected(server, client)
            told.append((again if state is None else LifecycleChanged(server, client, state), now()))
        if draw(st.booleans()):
            told.append((AgentDisconnected(server, client), now()))
        if draw(st.booleans()):
            told.append((ConnectionLost(server, client), now()))
    return told


@dataclass
class Engine:
    """Facts of one workspace, and the connections that are known to be gone."""

    facts: Facts
    departed: dict[Connection, datetime] = field(default_factory=dict)

    def hear(self, report: Report) -> None:
        """Apply one report; the stream stores it when it is told."""
        event, at = report
        if not isinstance(event, ConnectionLost):
            self.facts = merge_agent(self.facts, AGENT, event, at, NOW, self.departed).facts
            return
        connection = (event.server_id, event.client_id)
        if any(agent.connection == connection for agent in self.facts.agents):
            self.facts = lose_connection(self.facts, connection, at).facts
        else:
            self.departed.setdefault(connection, at)


def seen(facts: Facts) -> tuple[Any, ...]:
    """What anyone may see of the agent, and what the machine goes by."""
    agent = facts.agent(AGENT)
    assert agent is not None
    later = NOW + timedelta(hours=1)
    return (
        reach(facts),
        agent_link(agent, later, timedelta(0)),
        agent_link_since(agent, later, timedelta(0)),
        agent.connection,
        agent.gone,
        agent.lifecycle,
        agent.lifecycle_at,
        agent.first_connected_at is None,
    )


def after(reports: Sequence[Report], *, announced: bool = True) -> Facts:
    """Facts after the reports in that order; an agent that is announced only at the end counts as well."""
    agent = an_agent(announced=announced)
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), agent))
    for report in reports:
        engine.hear(report)
    found = engine.facts.agent(AGENT)
    assert found is not None
    return Facts(engine.facts.workspace, engine.facts.build, (_announced(found),))


def _announced(agent: Agent) -> Agent:
    from msgspec.structs import replace

    return replace(agent, announced=True)


@given(st.data())
def test_any_order_ends_in_the_same_facts(data: st.DataObject) -> None:
    """Shuffled and doubled, the reports of an agent's life leave what they leave in order."""
    told = data.draw(lives())
    expected = seen(after(told))

    shuffled = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=5))))

    assert seen(after(shuffled)) == expected
    assert seen(after(shuffled, announced=False)) == expected


@given(st.data())
def test_a_repeated_report_changes_nothing(data: st.DataObject) -> None:
    """Applied at once a second time, it leaves the very same facts."""
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
    for report in data.draw(st.permutations(data.draw(lives()))):
        engine.hear(report)
        before = engine.facts
        engine.hear(report)
        assert engine.facts is before


@given(st.data())
def test_a_connection_that_is_gone_never_counts_again(data: st.DataObject) -> None:
    """Once lost, a link comes back only on a newer connection."""
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
    gone: set[Connection] = set()
    for report in data.draw(st.permutations(data.draw(lives()))):
        engine.hear(report)
        if isinstance(report[0], ConnectionLost | AgentDisconnected):
            gone.add((report[0].server_id, report[0].client_id))
        agent = engine.facts.agents[0]
        assert not (agent.connected and agent.connection in gone)


@given(st.data())
def test_chats_end_where_they_would_in_order(data: st.DataObject) -> None:
    """The whole way through the machine: the same state, whatever came first."""
    told = data.draw(lives())
    in_order, shuffled = played(told), played(data.draw(st.permutations(told)))

    assert in_order.snapshot.lifecycle == shuffled.snapshot.lifecycle
    assert reach(in_order.facts) == reach(shuffled.facts)
    states = {in_order.state, shuffled.state}
    # A startup failure that was seen stays when the agent is lost after it; one that came later was never seen.
    assert len(states) == 1 or (reach(in_order.facts) is Reach.AWAY and states == {State.FAILED, State.CONNECTING})


def played(told: Sequence[Report]) -> Stage:
    """A chat whose agent tells this, one second after the other."""
    stage = a_chat_in("building")
    stage.built(stage.an_agent_report(id=AGENT))
    workspace = stage.workspace.id
    for event, at in told:
        payload = event if isinstance(event, ConnectionLost) else WorkspaceEvent(workspace, event, AGENT)
        stage.take(stage.item(payload, at=at))
    return stage


def test_a_lifecycle_told_on_the_connection_before() -> None:
    """What was written before the link broke counts, although the new connection is known already."""
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
    engine.hear((AgentConnected("A", 2), NOW + timedelta(seconds=2)))

    engine.hear((LifecycleChanged("A", 1, "ready"), NOW + timedelta(seconds=1)))

    assert reach(engine.facts) is Reach.READY


def test_a_restarted_process_whose_clock_was_set_back() -> None:
    """On one server the client id decides, not the clock."""
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
    engine.hear((LifecycleChanged("A", 1, "ready"), NOW + timedelta(seconds=9)))

    engine.hear((LifecycleChanged("A", 2, "starting"), NOW))

    assert engine.facts.agents[0].lifecycle == "starting"
    assert engine.facts.agents[0].ready_at is None


def test_times_of_scripts() -> None:
    """`starting` sets started_at and clears ready_at; the end of the scripts sets ready_at, and started_at if empty."""
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
    times = [NOW + timedelta(seconds=second) for second in range(5)]

    engine.hear((LifecycleChanged("A", 1, "ready"), times[1]))
    assert (engine.facts.agents[0].started_at, engine.facts.agents[0].ready_at) == (times[1], times[1])
    engine.hear((LifecycleChanged("A", 2, "starting"), times[2]))
    assert (engine.facts.agents[0].started_at, engine.facts.agents[0].ready_at) == (times[2], None)
    engine.hear((LifecycleChanged("A", 2, "start_error"), times[3]))
    assert (engine.facts.agents[0].started_at, engine.facts.agents[0].ready_at) == (times[2], times[3])


def test_the_order_of_one_instant() -> None:
    """Two reports of one microsecond: the one further on in the order counts."""
    for first, second in (("starting", "ready"), ("ready", "starting")):
        engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
        engine.hear((LifecycleChanged("A", 1, first), NOW))  # type: ignore[arg-type]  # lifecycles
        engine.hear((LifecycleChanged("A", 1, second), NOW))  # type: ignore[arg-type]  # lifecycles
        assert engine.facts.agents[0].lifecycle == "ready"


def test_the_end_of_an_older_connection() -> None:
    """The agent has come back meanwhile: it stays connected."""
    engine = Engine(facts_with(a_build(status="succeeded", agents_told=True), an_agent()))
    engine.hear((AgentConnected("A", 2), NOW))

    engine.hear((AgentDisconnected("A", 1), NOW + timedelta(seconds=1)))

    assert engine.facts.agents[0].connected
