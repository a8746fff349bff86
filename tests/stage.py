"""A stage: one chat daemon, one provisioner and one agent over rows that are kept between inputs as the store does.

Every input is a batch of its own: a fresh World over the rows written so far. So what is not written to a row is
forgotten, as it is in production.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec.structs import replace

from tests.builders import (
    AGENT,
    CHAT,
    NOW,
    ORGANIZATION,
    OWNER,
    TEMPLATE,
    WORKSPACE,
    CountedIds,
    a_job_report,
    a_template,
    a_version,
    an_agent_report,
    an_id,
)
from tests.step import Step
from workspaced.fsm.apply import apply
from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import COMMANDS, Command, Owner, Verb
from workspaced.fsm.effects import (
    ChatDeadline,
    JobLimit,
    QueueTurn,
    WorkspaceExpiry,
)
from workspaced.fsm.events import (
    AgentConnected,
    AgentDisconnected,
    AgentReport,
    BuildCreated,
    ConnectionLost,
    LifecycleChanged,
)
from workspaced.fsm.facts import Agent, Build, Facts, Workspace
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent
from workspaced.fsm.needs import names_asked, needs_of
from workspaced.fsm.reach import selected_agent
from workspaced.fsm.rows import Changes, Departure, InputRow, Loaded, StaleRow, TransitionRow
from workspaced.fsm.settings import Settings
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.fsm.template import Template, TemplateVersion
from workspaced.fsm.values import JobStatus, Lifecycle, Transition
from workspaced.fsm.world import World
from workspaced.store.twin_load import queue
from workspaced.store.twin_tables import Tables


@dataclass
class Stage:
    """One chat daemon, one provisioner and one agent over rows, driven by hand; time stands still unless it is told."""

    templates: list[Template] = field(default_factory=lambda: [a_template()])
    versions: list[TemplateVersion] = field(default_factory=lambda: [a_version()])
    settings: Settings = field(default_factory=Settings)
    now: datetime = NOW
    chat_id: str = CHAT
    ids: CountedIds = field(default_factory=CountedIds)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    chats: dict[str, Chat] = field(default_factory=dict)
    inputs: dict[str, InputRow] = field(default_factory=dict)
    history: list[TransitionRow] = field(default_factory=list)
    stale: list[StaleRow] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    """Builds that somebody else began."""
    count: int = 0
    client_id: int = 1
    steps: list[Step] = field(default_factory=list)

    # Rows

    @property
    def chat(self) -> Chat:
        """The chat that commands are about."""
        return self.chats[self.chat_id]

    @property
    def state(self) -> State:
        """Its state."""
        return self.chat.state

    @property
    def failure(self) -> tuple[str, str] | None:
        """Its failure's phase and code."""
        failure = self.chat.failure
        return (failure.phase.value, failure.code) if failure else None

    @property
    def message(self) -> str:
        """Its failure's message."""
        return self.chat.failure.message if self.chat.failure else ""

    @property
    def facts(self) -> Facts:
        """What is known of its workspace."""
        return self.facts_of(self.chat.workspace_id or "")

    @property
    def workspace(self) -> Workspace:
        """Its workspace."""
        return self.facts.workspace

    @property
    def build(self) -> Build:
        """Its workspace's latest build."""
        build = self.facts.build
        assert build is not None
        return build

    @property
    def agent(self) -> Agent:
        """The selected agent, else the one that was told first."""
        return selected_agent(self.facts) or self.facts.agents[0]

    @property
    def snapshot(self) -> Snapshot:
        """The chat as anyone may see it."""
        return self.world().snapshot(self.chat)

    def facts_of(self, workspace_id: str) -> Facts:
        """What is known of a workspace."""
        return self.world().facts[workspace_id]

    def loaded(self) -> Loaded:
        """All rows as one batch would load them."""
        latest: dict[str, Build] = {}
        for build in self.builds.values():
            if build.workspace_id not in latest or build.build_number > latest[build.workspace_id].build_number:
                latest[build.workspace_id] = build
        current = {build.id for build in latest.values()}
        return Loaded(
            workspaces=list(self.workspaces.values()),
            builds=list(latest.values()),
            agents=[agent for agent in self.agents.values() if agent.build_id in current],
            chats=list(self.chats.values()),
            templates=self.templates,
            versions=self.versions,
            inputs=list(self.inputs.values()),
            transitions=self.history,
            departures=self.departures,
        )

    def world(self) -> World:
        """What a batch at this moment would know."""
        return World(self.loaded(), self.now, self.ids, self.settings)

    # Inputs

    def item(self, payload: Any, key: str | None = None, at: datetime | None = None) -> Input:  # noqa: ANN401 - any payload
        """A message."""
        self.count += 1
        return Input(key or f"EVENTS/1/{self.count}", f"m{self.count}", at or self.now, self.now, "ws.x", payload)

    def take(self, *items: Input) -> Step:
        """One batch."""
        world = self.world()
        turns = needs_of(items, self.settings).turns
        world.queue = queue(Tables(workspaces=self.workspaces, builds=self.builds), turns) if turns else []
        names_asked_by(self, world, items)
        for item in items:
            apply(world, item)
            if isinstance(item.payload, WorkspaceEvent) and isinstance(item.payload.event, BuildCreated):
                self.foreign.add(item.payload.event.build_id)
        return self.commit(world)

    def commit(self, world: World) -> Step:
        """Write what the batch decided."""
        changes = world.changes()
        self._check(changes)
        self.workspaces |= {row.id: row for row in changes.workspaces}
        self.builds |= {row.id: row for row in changes.builds}
        self.agents |= {row.id: row for row in changes.agents}
        self.chats |= {write.chat.id: write.chat for write in changes.chats}
        self.inputs |= {row.key: row for row in changes.inputs}
        self.history = [*self.history, *changes.transitions]
        self.stale += changes.stale
        self.departures += changes.departures
        effects = [effect for row in changes.transitions for effect in row.effects]
        step = Step(changes, [*effects, *world.said.effects], world.said.answers, world.said.replayed)
        self.steps.append(step)
        return step

    def _check(self, changes: Changes) -> None:
        """What the store's keys would refuse."""
        for name, key in (
            ("workspaces", lambda row: row.id),
            ("builds", lambda row: row.id),
            ("agents", lambda row: row.id),
            ("chats", lambda row: row.chat.id),
            ("transitions", lambda row: (row.chat_id, row.version)),
            ("inputs", lambda row: row.key),
            ("stale", lambda row: (row.workspace_id, row.input_key)),
            ("departures", lambda row: (row.server_id, row.client_id)),
        ):
            keys = [key(row) for row in getattr(changes, name)]
            assert len(keys) == len(set(keys)), f"{name} twice: {keys}"
        for write in changes.chats:
            known = self.chats.get(write.chat.id)
            assert write.expected_version == (known.version if known else 0)

    def asking(self, verb: Verb, **changed: Any) -> Input:  # noqa: ANN401 - any field
        """A command as a message."""
        fields: dict[str, Any] = {"chat_id": self.chat_id, "request_id": f"r{self.count + 1}"}
        if verb in {"create", "attach"}:
            fields |= {"owner": Owner(OWNER, "ann"), "organization_id": ORGANIZATION}
        if verb == "create":
            fields |= {"template_id": TEMPLATE}
        if verb == "unreachable":
            chat = self.chats.get(self.chat_id)
            fields |= {
                "workspace_id": (chat and chat.workspace_id) or WORKSPACE,
                "build_id": (chat and chat.build_id) or an_id(1001),
                "agent_id": (chat and chat.agent_id) or AGENT,
            }
        command: Command = COMMANDS[verb](**fields | changed)
        return self.item(Ask(command, repr(replace(command, request_id="-")), "reply"))

    def create(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat wants a workspace."""
        return self.take(self.asking("create", **changed))

    def attach(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat wants an existing workspace."""
        return self.take(self.asking("attach", **changed))

    def start(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat wants its workspace started."""
        return self.take(self.asking("start", **changed))

    def restart(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat wants its workspace stopped and started."""
        return self.take(self.asking("restart", **changed))

    def stop(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat wants its workspace stopped."""
        return self.take(self.asking("stop", **changed))

    def delete(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat wants its workspace deleted."""
        return self.take(self.asking("delete", **changed))

    def cancel(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat gives up."""
        return self.take(self.asking("cancel", **changed))

    def touch(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The chat uses its workspace."""
        return self.take(self.asking("touch", **changed))

    def unreachable(self, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The daemon could not reach the bound agent."""
        return self.take(self.asking("unreachable", **changed))

    # Reports

    def reporting(self, status: JobStatus, build: Build | None = None, **changed: Any) -> Input:  # noqa: ANN401 - any field
        """A provisioner's report as a message."""
        told = build or self.build
        return self.item(WorkspaceEvent(told.workspace_id, a_job_report(told, status, **changed)))

    def job(self, status: JobStatus, build: Build | None = None, **changed: Any) -> Step:  # noqa: ANN401 - any field
        """The provisioner tells how its job stands."""
        return self.take(self.reporting(status, build, **changed))

    def built(self, *agents: AgentReport) -> Step:
        """The job succeeds; without `agents` it tells one named main."""
        return self.job("succeeded", agents=agents or (self.an_agent_report(),))

    def an_agent_report(self, name: str = "main", **changed: Any) -> AgentReport:  # noqa: ANN401 - any field
        """A fresh agent."""
        return an_agent_report(name=name, **{"id": self.ids.uuid()} | changed)

    def created_elsewhere(self, transition: Transition = "start", **changed: Any) -> Step:  # noqa: ANN401 - any field
        """Somebody else begins a build."""
        event = BuildCreated(self.ids.uuid(), self.build.build_number + 1, transition, self.ids.uuid())
        return self.take(self.item(WorkspaceEvent(self.workspace.id, replace(event, **changed))))

    def connected(self, agent: Agent | None = None, at: datetime | None = None) -> Step:
        """The agent connects, on a new connection when the last one is gone."""
        agent = agent or self.agent
        if agent.gone:
            self.client_id += 1
        event = AgentConnected("S", self.client_id, build_id=agent.build_id)
        return self.take(self.item(WorkspaceEvent(agent.workspace_id, event, agent.id), at=at))

    def disconnected(self) -> Step:
        """The agent closes its connection."""
        event = AgentDisconnected("S", self.client_id)
        return self.take(self.item(WorkspaceEvent(self.workspace.id, event, self.agent.id)))

    def lost(self) -> Step:
        """The server tells that the agent's connection is gone."""
        return self.take(self.item(ConnectionLost("S", self.client_id)))

    def lifecycle(self, state: Lifecycle, at: datetime | None = None) -> Step:
        """The agent tells how far its scripts are; each report is a microsecond later than the last."""
        self.now += timedelta(microseconds=1)
        event = LifecycleChanged("S", self.client_id, state)
        return self.take(self.item(WorkspaceEvent(self.workspace.id, event, self.agent.id), at=at))

    # Time

    def wait(self, seconds: float) -> "Stage":
        """Let time pass; nothing happens by itself."""
        self.now += timedelta(seconds=seconds)
        return self

    def expiring(self, version: int | None = None) -> Input:
        """The timer of the chat's deadline as a message; it is that late."""
        chat = self.chat
        self.now = max(self.now, chat.deadline_at or self.now)
        return self.item(ChatDeadline(chat.id, chat.deadline_version if version is None else version))

    def expire(self, version: int | None = None) -> Step:
        """The chat's deadline passes."""
        return self.take(self.expiring(version))

    def limit(self, status: Literal["pending", "running"] | None = None) -> Step:
        """The job has been pending or running for too long."""
        build = self.build
        word = status or ("pending" if build.started_at is None else "running")
        return self.take(self.item(JobLimit(build.workspace_id, build.job_id, word)))

    def turn(self, *workspaces: str) -> Step:
        """The queue is looked at, for the workspaces' builds or the chat's."""
        asked = workspaces or (self.workspace.id,)
        builds = [self.facts_of(key).build for key in asked]
        return self.take(*(self.item(QueueTurn(row.workspace_id, row.id)) for row in builds if row))

    def ttl(self) -> Step:
        """The workspace's TTL is over."""
        workspace = self.workspace
        assert workspace.ttl_at is not None
        self.now = workspace.ttl_at
        return self.take(self.item(WorkspaceExpiry(workspace.id, workspace.ttl_at)))


def names_asked_by(stage: Stage, world: World, items: Sequence[Input]) -> None:
    """What the store says about the names that creates ask for."""
    live = {
        (row.owner_id, row.name.lower())
        for row in stage.workspaces.values()
        if not row.deleted and not row.name_released
    }
    world.taken = live & set(names_asked(world, items))
