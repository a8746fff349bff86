"""Bodies on the wire that the core does not know: requests, replies, pushes, logs (wire.md sections 2, 3, 5, 6).

Commands are in `fsm/commands.py`, events in `fsm/events.py`, the job in `fsm/effects.py`, the snapshot in
`fsm/snapshot.py`. Unknown fields are ignored when read; a new field always has a default.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from workspaced.fsm.chat import Cause, Failure
from workspaced.fsm.commands import Outcome
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.fsm.template import Template
from workspaced.fsm.values import Id, JobStatus, Lifecycle, Time, Transition

After = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)]
Stage = Annotated[str, Meta(max_length=256)]


# --- what the engine says ---------------------------------------------------------------------------------------------


class Push(Struct, frozen=True, kw_only=True):
    """One committed transition, on `ws.chat.<chat_id>.<to>`; `id` is `<chat_id>:<version>`."""

    id: str
    at: datetime
    chat_id: str
    version: int
    from_state: State = field(name="from")
    to_state: State = field(name="to")
    cause: Cause
    snapshot: Snapshot


class Reply(Struct, frozen=True, omit_defaults=True):
    """The answer to a command; `snapshot` is null for `queued` and for a chat without a row."""

    outcome: Outcome
    snapshot: Snapshot | None
    build_id: str | None = None
    """The build that this command requested or waits for."""
    replayed: bool = False
    """This request_id was answered before: outcome and build of then, snapshot of now."""


class CancelJob(Struct, frozen=True):
    """`ws.cancel.<job_id>`: whoever works on the job stops."""

    job_id: Id
    build_id: Id
    workspace_id: Id
    reason: Literal["canceled", "limit", "late"]


class Resync(Struct, frozen=True):
    """`ws.resync`: receivers publish again what they know; no reply."""

    at: Time | None = None


class Revoked(Struct, frozen=True):
    """`ws.revoke.<workspace_id>`: agents of builds before `build_id` have no access any more."""

    workspace_id: Id
    build_id: Id


# --- what provisioners and agents say, besides events -----------------------------------------------------------------


class LogLine(Struct, frozen=True):
    """A line of a build's log; `seq` grows within the build."""

    at: Time
    stage: Stage
    level: Stage
    output: str
    seq: int


class LogEnd(Struct, frozen=True):
    """The end of a build's log, once, before the terminal event."""

    seq: int
    end: bool = True


class Pong(Struct, frozen=True):
    """An agent's answer to `ws.agent.<agent_id>.ping`."""

    agent_id: Id
    build_id: Id
    lifecycle: Lifecycle
    at: Time


# --- requests that only look ------------------------------------------------------------------------------------------


class Empty(Struct, frozen=True):
    """A request without fields: ping, `settings.get`."""


class GetChat(Struct, frozen=True):
    """`get`; the reply is the bare snapshot."""

    chat_id: Id


class ListRequest(Struct, frozen=True, omit_defaults=True):
    """`list`; `after` is the `next` of the page before, `unbound` asks for workspaces without chats."""

    kind: Literal["chats", "workspaces"] = "chats"
    state: State | None = None
    owner_id: Id | None = None
    template_id: Id | None = None
    organization_id: Id | None = None
    unbound: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: Id | None = None


class WorkspaceEntry(Struct, frozen=True):
    """A workspace in a list, with the ids of the chats bound to it and its latest build."""

    id: str
    name: str
    owner_id: str
    owner_name: str
    organization_id: str
    template_id: str
    deleted: bool
    was_ready: bool
    ttl_ms: int | None
    next: str | None
    chats: tuple[str, ...]
    build_id: str | None
    build_number: int | None
    transition: Transition | None
    job_status: JobStatus | None
    job_error: str | None


class ChatList(Struct, frozen=True, omit_defaults=True):
    """A page of chats, ordered by id; `next` is absent on the last page."""

    chats: tuple[Snapshot, ...] = field()
    next: str | None = None


class WorkspaceList(Struct, frozen=True, omit_defaults=True):
    """A page of workspaces, ordered by id; `next` is absent on the last page."""

    workspaces: tuple[WorkspaceEntry, ...] = field()
    next: str | None = None


class HistoryRequest(Struct, frozen=True, omit_defaults=True):
    """`history`: transitions above `after_version`, ascending; `stale` adds reports that came too late."""

    chat_id: Id
    after_version: After = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    stale: bool = False


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One transition as history shows it."""

    version: int
    from_state: State = field(name="from")
    to_state: State = field(name="to")
    cause: Cause
    at: datetime
    build_id: str | None
    agent_id: str | None
    failure: Failure | None
    input_id: str


class StaleEntry(Struct, frozen=True):
    """A report that changed nothing any more."""

    at: datetime
    input_id: str
    subject: str
    reason: str


class History(Struct, frozen=True, omit_defaults=True):
    """A page of a chat's history; `next` is the `after_version` of the next page, absent on the last."""

    chat_id: str
    transitions: tuple[HistoryEntry, ...] = field()
    next: int | None = None
    stale: tuple[StaleEntry, ...] | None = None


class LogsRequest(Struct, frozen=True, omit_defaults=True):
    """`logs` of a build: lines whose `seq` is above `after`."""

    build_id: Id
    after: After = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 400


class LogEntry(Struct, frozen=True):
    """A log line in a page."""

    seq: int
    at: datetime
    stage: str
    level: str
    output: str


class Logs(Struct, frozen=True):
    """A page of lines, ascending; `ended` once the page reaches the end that the provisioner wrote."""

    lines: tuple[LogEntry, ...]
    has_more: bool
    ended: bool


class DeadRequest(Struct, frozen=True, omit_defaults=True):
    """`dead`: messages in DEAD whose sequence is above `after`."""

    after: After = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class DeadEntry(Struct, frozen=True):
    """A message that nobody could use; `seq` and `at` are those of DEAD, `body` is its text as it came."""

    seq: int
    at: datetime
    subject: str
    reason: str
    detail: str
    body: str


class DeadList(Struct, frozen=True):
    """A page of dead messages, ascending by `seq`."""

    messages: tuple[DeadEntry, ...]
    has_more: bool


# --- templates and settings -------------------------------------------------------------------------------------------


class TemplateToPut(Template, frozen=True, kw_only=True):
    """A template as its author writes it: one without `id` gets one."""

    id: Id | None = None  # type: ignore[assignment]  # wider than what is stored: it is made before that


class PutTemplate(Struct, frozen=True):
    """`templates.put`: makes the template, or replaces the one of that id."""

    template: TemplateToPut


class TemplateRequest(Struct, frozen=True):
    """`templates.get` and `templates.delete`."""

    template_id: Id


class TemplateReply(Struct, frozen=True, omit_defaults=True):
    """A template as stored; a warning names a tag that no provisioner serves."""

    template: Template
    warnings: tuple[str, ...] = ()


class Deleted(Struct, frozen=True):
    """The reply to `templates.delete`."""

    deleted: bool


class TemplatesRequest(Struct, frozen=True, omit_defaults=True):
    """`templates.list`: a page of ten; without `visible_only` also those that chats may not use."""

    organization_id: Id | None = None
    query: Annotated[str, Meta(max_length=1024)] | None = None
    page: Annotated[int, Meta(ge=1, le=2_147_483_647)] = 1
    visible_only: bool = False


class Templates(Struct, frozen=True, omit_defaults=True):
    """A page of templates, those with most active developers first, then by name."""

    templates: tuple[Template, ...]
    count: int
    page: int
    total_pages: int
    total_count: int
    active_developers: dict[str, int] = {}
    """By template id; absent for those without any."""


class PutSettings(Struct, frozen=True):
    """`settings.put`: merged over the stored ones, all or nothing; the values are texts."""

    settings: dict[str, str]


class SettingsReply(Struct, frozen=True):
    """Every setting as text."""

    settings: dict[str, str]
