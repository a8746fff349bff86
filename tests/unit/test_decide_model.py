"""Chats, workspaces, commands, reports, deadlines and redeliveries in any order: what must hold after every step."""

from datetime import timedelta
from typing import get_args

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.builders import TEMPLATE, an_agent_report, an_id
from tests.stage import Stage
from tests.step import Step
from workspaced.fsm.commands import Verb
from workspaced.fsm.effects import ChatDeadline, JobLimit, PublishJob, SetTimer, WorkspaceExpiry
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import (
    AgentConnected,
    AgentDisconnected,
    AgentEvent,
    BuildCreated,
    ConnectionLost,
    LifecycleChanged,
)
from workspaced.fsm.facts import IN_FLIGHT, job_status
from workspaced.fsm.inputs import Input, WorkspaceEvent
from workspaced.fsm.machine import advance
from workspaced.fsm.reach import selected_agent
from workspaced.fsm.settings import settings_from
from workspaced.fsm.settle import guards
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.values import JobStatus, Lifecycle, Transition

CHATS = [an_id(10), an_id(11), an_id(12)]
AGENTS = [an_id(number) for number in range(900, 906)]
NAMES = ["main", "side", "a-coderd-chat", "b-coderd-chat"]
VERBS: list[Verb] = ["create", "start", "stop", "restart", "delete", "cancel", "touch", "unreachable"]

servers, clients = st.sampled_from("AB"), st.integers(1, 4)
told_by_agents = (
    st.builds(AgentConnected, servers, clients)
    | st.builds(AgentDisconnected, servers, clients)
    | st.builds(LifecycleChanged, servers, clients, st.sampled_from(get_args(Lifecycle)))
)
skews = st.integers(-3, 3).map(lambda seconds: timedelta(seconds=seconds))


class Chats(RuleBasedStateMachine):
    """Three chats of one owner; every rule is one input, or one batch of two."""

    def __init__(self) -> None:
        """Nothing is there, and whatever is made lives for an hour."""
        super().__init__()
        self.stage = Stage(settings=settings_from({"workspace_ttl": "1h"}))
        self.past: list[Input] = []
        self.timers: list[SetTimer] = []
        self.jobs: list[str] = []

    def send(self, *items: Input) -> Step | None:
        """One batch; a message that nobody can use is no fault of ours."""
        self.past += items
        try:
            step = self.stage.take(*items)
        except UndecodableMessage:
            return None
        self.timers += [effect for effect in step.said if isinstance(effect, SetTimer)]
        self.jobs += [effect.job.build_id for effect in step.said if isinstance(effect, PublishJob)]
        return step

    @rule(chat=st.sampled_from(CHATS), verb=st.sampled_from(VERBS), name=st.sampled_from([None, "dev", "box"]))
    def command(self, chat: str, verb: Verb, name: str | None) -> None:
        """A chat wants something."""
        self.stage.chat_id = chat
        fields = {"name": name} if verb == "create" else {}
        step = self.send(self.stage.asking(verb, **fields))

        assert step is not None
        assert (step.answer.outcome is None) == (step.answer.error is not None)
        if step.answer.error is not None or step.answer.outcome == "conflict":
            assert (step.transitions, step.said) == ([], [])

    @rule(chat=st.sampled_from(CHATS[1:]), other=st.sampled_from(CHATS), as_child=st.booleans())
    def attach(self, chat: str, other: str, *, as_child: bool) -> None:
        """A chat wants what another one has."""
        self.stage.chat_id = chat
        known = self.stage.chats.get(other)
        target = {"from_chat_id": other} if as_child else {"workspace_id": (known and known.workspace_id) or an_id(1)}
        self.send(self.stage.asking("attach", **target))

    @precondition(lambda self: self.stage.builds)
    @rule(
        data=st.data(),
        status=st.sampled_from(get_args(JobStatus)),
        attempt=st.integers(1, 2),
        agents=st.none() | st.lists(st.sampled_from(AGENTS), unique=True, max_size=2),
    )
    def report(self, data: st.DataObject, status: JobStatus, attempt: int, agents: list[str] | None) -> None:
        """A provisioner tells something about any build there ever was; mostly about the latest."""
        builds = list(self.stage.builds.values())
        build = data.draw(st.sampled_from([*builds, *builds[-1:] * 4]))
        told = agents and tuple(an_agent_report(agent, NAMES[data.draw(st.integers(0, 3))]) for agent in agents)
        error = "no" if status == "failed" and data.draw(st.booleans()) else ""
        self.send(self.stage.reporting(status, build, attempt=attempt, error=error, agents=told))

    @initialize(steps=st.integers(0, 5))
    def first(self, steps: int) -> None:
        """One chat has a workspace, which has come up some way."""
        self.command(CHATS[0], "create", None)
        for _ in range(steps):
            self.go_on(CHATS[0], "ready")

    @rule(chat=st.sampled_from(CHATS), lifecycle=st.sampled_from(["ready", "ready", "starting", "start_error"]))
    def go_on(self, chat: str, lifecycle: Lifecycle) -> None:
        """The chat's workspace comes up or goes down by one step, as it mostly does."""
        known = self.stage.chats.get(chat)
        if known is None or known.workspace_id is None:
            return
        facts = self.stage.facts_of(known.workspace_id)
        if facts.build is not None and facts.in_flight:
            running = job_status(facts.build) == "pending"
            agents = (an_agent_report(an_id(10_000 + len(self.past)), "main"),)
            status: JobStatus = "running" if running else "succeeded"
            self.send(self.stage.reporting(status, facts.build, attempt=9, agents=agents))
        elif (agent := selected_agent(facts)) is not None:
            client = agent.client_id or 0
            if agent.connected and agent.server_id == "A":
                event: AgentEvent = LifecycleChanged("A", client, lifecycle)
            else:
                event = AgentConnected("A", client + 1)
            self.stage.wait(1)
            self.send(self.stage.item(WorkspaceEvent(agent.workspace_id, event, agent.id)))

    @rule(chat=st.sampled_from(CHATS))
    def link_lost(self, chat: str) -> None:
        """The server tells that the bound agent's connection is gone."""
        known = self.stage.chats.get(chat)
        agent = self.stage.agents.get((known and known.agent_id) or "")
        if agent is not None and agent.connection is not None:
            self.send(self.stage.item(ConnectionLost(*agent.connection)))

    @precondition(lambda self: self.stage.workspaces)
    @rule(data=st.data(), agent=st.sampled_from(AGENTS), told=told_by_agents, skew=skews)
    def agent(self, data: st.DataObject, agent: str, told: AgentEvent, skew: timedelta) -> None:
        """An agent tells anything, on any connection, by a clock of its own."""
        workspace = data.draw(st.sampled_from(sorted(self.stage.workspaces)))
        agents = [one.id for one in self.stage.agents.values() if one.workspace_id == workspace]
        named = data.draw(st.sampled_from([*agents, agent]))
        if named in self.stage.agents and named not in agents:
            return  # the store refuses another workspace's agent
        self.send(self.stage.item(WorkspaceEvent(workspace, told, named), at=self.stage.now + skew))

    @rule(lost=st.builds(ConnectionLost, servers, clients, certain=st.booleans()))
    def lost(self, lost: ConnectionLost) -> None:
        """The server tells that a connection is gone, or may be."""
        self.send(self.stage.item(lost))

    @precondition(lambda self: self.stage.workspaces)
    @rule(data=st.data(), transition=st.sampled_from(["start", "stop", "delete"]), ahead=st.integers(-1, 2))
    def build_created(self, data: st.DataObject, transition: Transition, ahead: int) -> None:
        """Somebody else begins a build."""
        workspace = data.draw(st.sampled_from(sorted(self.stage.workspaces)))
        latest = self.stage.facts_of(workspace).build
        number = max(1, (latest.build_number if latest else 0) + ahead)
        event = BuildCreated(self.stage.ids.uuid(), number, transition, self.stage.ids.uuid())
        self.send(self.stage.item(WorkspaceEvent(workspace, event)))

    @precondition(lambda self: self.timers)
    @rule(data=st.data(), late=st.booleans())
    def timer(self, data: st.DataObject, *, late: bool) -> None:
        """Any timer that was ever set goes off, perhaps long after its time."""
        timer = data.draw(st.sampled_from(self.timers[-8:]))
        self.stage.now = max(self.stage.now, timer.at) + timedelta(seconds=40 if late else 0)
        self.send(self.stage.item(timer.due))

    @precondition(lambda self: self.stage.chats)
    @rule(data=st.data())
    def deadline(self, data: st.DataObject) -> None:
        """A chat's deadline passes."""
        self.stage.chat_id = data.draw(st.sampled_from(sorted(self.stage.chats)))
        if self.stage.chat.deadline_at is not None:
            step = self.send(self.stage.expiring())
            assert step is not None
            assert self.stage.state is State.FAILED

    @rule(seconds=st.sampled_from([0, 1, 29, 31, 130]))
    def time_passes(self, seconds: int) -> None:
        """Nothing happens by itself."""
        self.stage.wait(seconds)

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def redelivered(self, data: st.DataObject) -> None:
        """A message comes again: no chat that it moved moves once more."""
        item = data.draw(st.sampled_from(self.past))
        moved = any(row.input_key == item.key for row in self.stage.history) or item.key in self.stage.inputs
        step = self.send(item)
        if moved:
            assert step is not None
            assert (step.transitions, step.changes.inputs) == ([], [])

    @invariant()
    def history_has_no_gaps(self) -> None:
        """Every version is there once, each begins where the one before ended, and all are of their state."""
        for chat in self.stage.chats.values():
            rows = [row for row in self.stage.history if row.chat_id == chat.id]
            assert [row.version for row in rows] == list(range(1, chat.version + 1))
            assert [row.from_state for row in rows[1:]] == [row.to_state for row in rows[:-1]]
            assert (rows[-1].to_state, rows[0].from_state) == (chat.state, State.IDLE)
            for row in rows:
                assert (row.failure is not None) == (row.to_state is State.FAILED)
                told = msgspec.json.decode(row.snapshot)
                assert (told["version"], told["state"], told["agent_id"]) == (row.version, row.to_state, row.agent_id)

    @invariant()
    def chats_are_whole(self) -> None:
        """A failure iff failed, a deadline iff waiting, and a triple of one workspace and one build."""
        for chat in self.stage.chats.values():
            facts = self.stage.world().facts_of(chat)
            assert (chat.failure is not None) == (chat.state is State.FAILED)
            assert (chat.deadline_at is not None) == (chat.state in WAITING)
            assert chat.agent_id is None or chat.build_id is not None
            assert chat.build_id is None or chat.workspace_id is not None
            if facts is None or facts.workspace.deleted:
                assert (chat.state, chat.build_id, chat.agent_id) == (State.IDLE, None, None)
                continue
            assert chat.build_id == (facts.build.id if facts.build else None)
            agent = facts.agent(chat.agent_id)
            assert (agent is None) == (chat.agent_id is None)
            assert agent is None or agent.announced
            if chat.state in {State.CONNECTING, State.STARTING, State.READY}:
                assert agent is not None
            if chat.state is State.READY:
                assert agent is not None
                assert agent.connected
                assert agent.lifecycle == "ready"

    @invariant()
    def deadlines_have_timers(self) -> None:
        """The wake-up that a waiting chat needs was asked for."""
        for chat in self.stage.chats.values():
            if chat.deadline_at is not None:
                assert SetTimer(chat.deadline_at, ChatDeadline(chat.id, chat.deadline_version)) in self.timers

    @invariant()
    def jobs_and_lives_have_timers(self) -> None:
        """So do jobs in flight and workspaces with a TTL; every build of ours had its job published once."""
        for workspace in self.stage.workspaces:
            facts = self.stage.facts_of(workspace)
            if facts.workspace.ttl_at is not None:
                assert (
                    SetTimer(facts.workspace.ttl_at, WorkspaceExpiry(workspace, facts.workspace.ttl_at)) in self.timers
                )
            if facts.build is not None and facts.in_flight:
                status = "pending" if job_status(facts.build) == "pending" else "running"
                assert JobLimit(workspace, facts.build.job_id, status) in [timer.due for timer in self.timers]  # type: ignore[arg-type]  # a word
        ours = [build.id for build in self.stage.builds.values() if build.id not in self.stage.foreign]
        assert sorted(set(self.jobs)) == sorted(ours)

    @invariant()
    def machines_are_at_rest(self) -> None:
        """A second look at what is known moves nobody."""
        for chat in self.stage.chats.values():
            facts = self.stage.world().facts_of(chat)
            assert advance(chat.state, "observe", guards(chat, facts)) == ()

    @invariant()
    def the_store_would_not_refuse(self) -> None:
        """One unfinished build per workspace, one live workspace per name."""
        unfinished = [build.workspace_id for build in self.stage.builds.values() if job_status(build) in IN_FLIGHT]
        assert len(unfinished) == len(set(unfinished))
        live = [row for row in self.stage.workspaces.values() if not row.deleted and not row.name_released]
        assert len({row.name.lower() for row in live}) == len(live)
        assert all(row.template_id == TEMPLATE for row in live)

    @invariant()
    def nothing_follows_what_is_over(self) -> None:
        """A noted `next` waits for a build in flight, and is followed by the transaction that ends it."""
        for workspace in self.stage.workspaces:
            facts = self.stage.facts_of(workspace)
            assert facts.workspace.next is None or facts.in_flight


Chats.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestChats = Chats.TestCase
TestChats.__doc__ = "Every invariant holds after any run of inputs."
