"""What a batch knows and has decided so far: rows as loaded, with the changes of the inputs before on top.

A plain accumulator without I/O. Inputs are applied to it one after another; at the end `changes` is what to write and
`said` is what to say once that is committed.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Raw, Struct, field
from msgspec.structs import replace

from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.chat import Chat
from workspaced.fsm.deadlines import Limits
from workspaced.fsm.effects import ChatDeadline, Effect, SetTimer
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.facts import Agent, Build, Facts, Workspace
from workspaced.fsm.ids import Ids
from workspaced.fsm.inputs import Input
from workspaced.fsm.links import Links
from workspaced.fsm.rows import Changes, Departure, InputRow, Loaded, StaleRow, TransitionRow
from workspaced.fsm.settings import Settings, settings_in_force
from workspaced.fsm.snapshot import Snapshot, Typical, take_snapshot
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.template import Template, TemplateVersion
from workspaced.fsm.values import Connection
from workspaced.fsm.writes import Writes

TypicalOf = Callable[[str, State], Typical | None]


class Answer(Struct, frozen=True):
    """The answer to a command: the stored outcome with the snapshot of now, or the error it was refused with."""

    reply_to: str
    row: InputRow
    snapshot: Snapshot | None
    replayed: bool = False


class Said(Struct):
    """What to say once the batch is committed, in this order."""

    at: datetime
    transitions: list[TransitionRow] = field(default_factory=list)
    replayed: list[TransitionRow] = field(default_factory=list)
    """Transitions of inputs that were applied before; they are in the store already."""
    effects: list[Effect] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    organizations: dict[str, str] = field(default_factory=dict)
    """By chat whose it is, of all chats above."""


class World:
    """Rows of one batch, changed in memory."""

    def __init__(
        self,
        loaded: Loaded,
        now: datetime,
        ids: Ids,
        defaults: Settings,
        typical: TypicalOf = lambda *_: None,
        secrets: AgentSecrets | None = None,
    ) -> None:
        """`defaults` are the process's settings, under the stored ones; without `secrets` builds have none."""
        self.now, self.ids, self.typical, self.secrets = now, ids, typical, secrets
        self.received = now
        """When the stream stored the input that is being applied."""
        self.settings, _ = settings_in_force(loaded.settings, defaults)
        self.templates: Mapping[str, Template] = {template.id: template for template in loaded.templates}
        self.versions: Mapping[str, TemplateVersion] = {version.id: version for version in loaded.versions}
        self.facts = _facts(loaded)
        self.chats: dict[str, Chat] = {}
        self.bound: dict[str, set[str]] = {}
        self.taken: set[tuple[str, str]] = set()
        """(owner id, lower-case name) of live workspaces, as far as this batch's creates ask."""
        self.names: dict[tuple[str, str], list[str]] = {}
        """By (chat id, request id) the names that a create may choose from."""
        self.links = Links(loaded.agents, loaded.departures)
        self.inputs = {row.key: row for row in loaded.inputs}
        self.requests = {(row.chat_id, row.request_id): row for row in loaded.inputs if row.request_id}
        self.done: set[str] = set()
        """Keys of the inputs that this batch has applied."""
        self.applied = _by_input(loaded.transitions)
        """By key the transitions of inputs that were applied before."""
        self.queue = loaded.queue
        """The queue of start builds, until it was looked at."""
        self.said = Said(now)
        self._writes = Writes(loaded.chats)
        for chat in loaded.chats:
            self._bind(chat)

    def limits(self, facts: Facts | None) -> Limits:
        """The deadlines in force for a workspace."""
        queued = facts is not None and facts.build is not None and facts.build.queue is not None
        return Limits(self.settings, self.templates.get(facts.workspace.template_id) if facts else None, queued=queued)

    def facts_of(self, chat: Chat | None) -> Facts | None:
        """What is known of the chat's workspace."""
        return self.facts.get(chat.workspace_id) if chat and chat.workspace_id else None

    def chats_of(self, workspace_id: str) -> list[Chat]:
        """The chats bound to a workspace, by id."""
        return [self.chats[chat_id] for chat_id in sorted(self.bound.get(workspace_id, ()))]

    def named_by(self, connection: Connection, agent_id: str | None) -> Facts | None:
        """What is known of the workspace whose agent named the connection: that agent's, or any when None."""
        workspace_id = self.links.workspace_of(connection, agent_id)
        return self.facts.get(workspace_id) if workspace_id else None

    def snapshot(self, chat: Chat) -> Snapshot:
        """The chat as anyone may see it now."""
        facts = self.facts_of(chat)
        typical = self.typical(facts.workspace.template_id, chat.state) if facts else None
        return take_snapshot(chat, facts, self.now, self.settings.agent_connection_timeout, typical)

    def put_facts(self, facts: Facts, *, closed: Build | None = None) -> None:
        """Keep what is known of a workspace now; only rows that changed are written."""
        before = self.facts.get(facts.workspace.id)
        if closed is not None:
            self._writes.builds[closed.id] = closed
        if before is None or before.workspace is not facts.workspace:
            self._put_workspace(facts.workspace)
        if facts.build is not None and (before is None or before.build is not facts.build):
            self._writes.builds[facts.build.id] = facts.build
        known = set(map(id, before.agents)) if before else set()
        for agent in facts.agents:
            if id(agent) not in known:
                self._writes.agents[agent.id] = agent
                self.links.note(agent)
        self.facts[facts.workspace.id] = facts

    def _put_workspace(self, workspace: Workspace) -> None:
        self._writes.workspaces[workspace.id] = workspace
        if workspace.deleted and not workspace.name_released:
            self.taken.discard((workspace.owner_id, workspace.name.lower()))

    def put_chat(self, before: Chat, steps: Iterable[Chat], item: Input) -> None:
        """Keep a chat's transitions; the last one's deadline is armed."""
        source, rows = before, []
        for chat in steps:
            rows.append(self._transition(source, chat, item))
            source = chat
        if not rows:
            return
        armed = source.deadline_at is not None and source.deadline_version >= rows[0].version
        if armed and source.deadline_at is not None:
            timer = SetTimer(source.deadline_at, ChatDeadline(source.id, source.deadline_version))
            rows[-1] = replace(rows[-1], effects=(timer,))
        self._unbind(before)
        self._bind(source)
        self._writes.chats[source.id] = source
        self.said.transitions += rows

    def put_input(self, row: InputRow) -> None:
        """Keep the record of an input, so that a redelivery or a repeated request finds it."""
        self._writes.inputs.append(row)
        self.inputs[row.key] = row
        if row.request_id:
            self.requests[row.chat_id, row.request_id] = row

    def put_stale(self, workspace_id: str, item: Input, reason: str) -> None:
        """Keep that a report came too late."""
        self._writes.stale.append(StaleRow(workspace_id, self.now, item.id, item.key, item.subject, reason))

    def put_departure(self, connection: Connection, at: datetime) -> None:
        """Keep that a connection is gone which no agent has named yet."""
        if connection not in self.links.departed:
            self.links.departed[connection] = at
            self._writes.departures.append(Departure(*connection, at=at))

    def changes(self) -> Changes:
        """The rows to write."""
        return self._writes.changes(self.said.transitions)

    def _transition(self, source: Chat, chat: Chat, item: Input) -> TransitionRow:
        facts, cause = self.facts_of(chat), chat.cause
        if cause is None:
            raise WorkspacedError
        since = source.entered_at
        if source.state is State.CREATING and facts and facts.build and facts.build.released_at:
            since = facts.build.released_at  # how long others' builds took is not typical of its own
        spent = self.now - since if since and source.state is not chat.state else timedelta(0)
        return TransitionRow(
            chat_id=chat.id,
            version=chat.version,
            workspace_id=chat.workspace_id,
            template_id=facts.workspace.template_id if facts else None,
            from_state=source.state,
            to_state=chat.state,
            cause=cause,
            at=self.now,
            took_ms=spent // timedelta(milliseconds=1) if spent and source.state in WAITING else None,
            build_id=facts.build.id if facts and facts.build else None,
            agent_id=chat.agent_id,
            failure=chat.failure,
            input_id=item.id,
            input_key=item.key,
            snapshot=Raw(msgspec.json.encode(self.snapshot(chat))),
        )

    def _bind(self, chat: Chat) -> None:
        self.chats[chat.id] = chat
        self.said.organizations[chat.id] = chat.organization_id
        if chat.workspace_id:
            self.bound.setdefault(chat.workspace_id, set()).add(chat.id)

    def _unbind(self, chat: Chat) -> None:
        if chat.workspace_id:
            self.bound.get(chat.workspace_id, set()).discard(chat.id)


def _by_input(transitions: Iterable[TransitionRow]) -> dict[str, list[TransitionRow]]:
    applied: dict[str, list[TransitionRow]] = {}
    for row in transitions:
        applied.setdefault(row.input_key, []).append(row)
    return applied


def _facts(loaded: Loaded) -> dict[str, Facts]:
    builds = {build.workspace_id: build for build in loaded.builds}
    agents: dict[str, list[Agent]] = {}
    for agent in loaded.agents:
        agents.setdefault(agent.workspace_id, []).append(agent)
    return {
        workspace.id: Facts(workspace, builds.get(workspace.id), tuple(agents.get(workspace.id, ())))
        for workspace in loaded.workspaces
    }
