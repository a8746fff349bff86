"""What one batch reads from the store and writes to it. The store moves these as they are; the core fills them.

Field names are column names. Lists keep the order in which rows must be written.
"""

from datetime import datetime

from msgspec import Raw, Struct, field

from workspaced.fsm.chat import Cause, Chat, Failure
from workspaced.fsm.commands import Outcome
from workspaced.fsm.effects import Effect
from workspaced.fsm.errors import ErrorBody
from workspaced.fsm.facts import Agent, Build, Workspace
from workspaced.fsm.state import MACHINE_VERSION, State
from workspaced.fsm.template import Template, TemplateVersion
from workspaced.fsm.values import Connection


class Turns(Struct, frozen=True):
    """What is asked of the queue of start builds."""

    workspaces: tuple[str, ...]
    """Whose builds' places are wanted."""
    per_owner: int
    """Builds at once for an owner where no setting is stored; 0: no limit."""
    per_template: int
    """The same for a template."""
    at_once: int = 0
    """How many of those that may begin are wanted, oldest first."""


class Queued(Struct, frozen=True):
    """A build in the queue, with the limits that count for it."""

    workspace_id: str
    build_id: str
    owner_id: str
    template_id: str
    per_owner: int
    per_template: int
    owner_running: int
    """Start builds of ours under way for the owner, those in the queue not counted."""
    template_running: int
    owner_place: int
    """Its place among the owner's builds in the queue, from 1."""
    template_place: int


class Needs(Struct, frozen=True):
    """Which rows a batch must lock and load. Every set is sorted, so that locks are taken in one order everywhere."""

    keys: tuple[str, ...] = ()
    """Keys of all inputs, to find those that were applied before."""
    workspaces: tuple[str, ...] = ()
    """Workspaces named by events, timers and attach; with each come all chats bound to it."""
    chats: tuple[str, ...] = ()
    """Chats named by commands and timers; with each comes its workspace, and with that all chats bound to it."""
    connections: tuple[Connection, ...] = ()
    """Connections to look up among agents (their workspaces are loaded too) and among departures."""
    templates: tuple[str, ...] = ()
    """Templates named by create; share-locked, so that none is deleted meanwhile."""
    requests: tuple[tuple[str, str], ...] = ()
    """(chat id, request id) of all commands, to find stored answers."""
    turns: Turns | None = None
    """Set when the queue is to be looked at: it is locked before all rows, and what is found there is locked too."""


class TransitionRow(Struct, frozen=True):
    """One step of a chat's machine, and all that is said about it."""

    chat_id: str
    version: int
    from_state: State
    to_state: State
    cause: Cause
    at: datetime
    input_id: str
    input_key: str
    snapshot: Raw
    """The snapshot as it is announced, JSON."""
    workspace_id: str | None = None
    template_id: str | None = None
    build_id: str | None = None
    agent_id: str | None = None
    failure: Failure | None = None
    took_ms: int | None = None
    """How long `from_state` lasted; None for an announcement and for a state that was passed through at once."""
    effects: tuple[Effect, ...] = ()
    """What to say besides announcing this row."""
    machine_version: int = MACHINE_VERSION


class InputRow(Struct, frozen=True):
    """A command that was decided, or another input whose effects belong to no transition."""

    key: str
    at: datetime
    chat_id: str | None = None
    request_id: str | None = None
    """Set for answered commands only: a refused `request_id` may be used again."""
    content: str | None = None
    outcome: Outcome | None = None
    build_id: str | None = None
    error_status: int | None = None
    error: ErrorBody | None = None
    effects: tuple[Effect, ...] = ()


class StaleRow(Struct, frozen=True):
    """A report that came too late to change anything; history shows it on demand."""

    workspace_id: str
    at: datetime
    input_id: str
    input_key: str
    subject: str
    reason: str


class Departure(Struct, frozen=True):
    """A connection reported gone before any agent named it."""

    server_id: str
    client_id: int
    at: datetime


class Loaded(Struct):
    """Rows under lock, as they were when the locks were held."""

    settings: dict[str, str] = field(default_factory=dict)
    """The stored settings, as texts."""
    workspaces: list[Workspace] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    """The latest build of each workspace."""
    agents: list[Agent] = field(default_factory=list)
    """The agents of those builds."""
    chats: list[Chat] = field(default_factory=list)
    templates: list[Template] = field(default_factory=list)
    """The templates named by `Needs` and those of the workspaces, without readme."""
    versions: list[TemplateVersion] = field(default_factory=list)
    """The active versions of those templates, and the versions of those builds."""
    inputs: list[InputRow] = field(default_factory=list)
    """Rows under one of the keys, or with one of the (chat id, request id)."""
    transitions: list[TransitionRow] = field(default_factory=list)
    """Transitions that one of the keys caused, by chat and version."""
    departures: list[Departure] = field(default_factory=list)
    queue: list[Queued] = field(default_factory=list)
    """What `Needs.turns` asked for, oldest first."""


class ChatWrite(Struct, frozen=True):
    """A chat's new row, and the version that must still be there; 0 means that no row exists."""

    chat: Chat
    expected_version: int


class Changes(Struct):
    """Rows to write; a row that exists under its id is replaced."""

    workspaces: list[Workspace] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    """A build that ends stands before the one that begins, for one workspace has one unfinished build."""
    agents: list[Agent] = field(default_factory=list)
    chats: list[ChatWrite] = field(default_factory=list)
    transitions: list[TransitionRow] = field(default_factory=list)
    inputs: list[InputRow] = field(default_factory=list)
    stale: list[StaleRow] = field(default_factory=list)
    departures: list[Departure] = field(default_factory=list)
