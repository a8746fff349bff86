"""The twin's tables: dicts by primary key, and the row checks of `sql/migrations/0001_schema.sql`."""

import re
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct, field

from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import Agent, Build, Workspace
from workspaced.fsm.rows import Departure, InputRow, StaleRow, TransitionRow
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.template import Template, TemplateVersion
from workspaced.store.errors import RefusedByStore

Row = TypeVar("Row", bound=Struct)

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Tables(Struct):
    """Rows as they are; a batch works on a copy."""

    workspaces: dict[str, Workspace] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    chats: dict[str, Chat] = field(default_factory=dict)
    transitions: dict[tuple[str, int], TransitionRow] = field(default_factory=dict)
    inputs: dict[str, InputRow] = field(default_factory=dict)
    stale: dict[tuple[str, str], StaleRow] = field(default_factory=dict)
    departures: dict[tuple[str, int], Departure] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    versions: dict[str, TemplateVersion] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "Tables":
        """The same rows in tables of their own."""
        return Tables(**{name: dict(getattr(self, name)) for name in self.__struct_fields__})

    def latest_build(self, workspace_id: str) -> Build | None:
        """The workspace's build with the highest number."""
        builds = (row for row in self.builds.values() if row.workspace_id == workspace_id)
        return max(builds, key=lambda row: row.build_number, default=None)

    def agents_of(self, build_id: str) -> list[Agent]:
        """The build's agents, by id."""
        return sorted((row for row in self.agents.values() if row.build_id == build_id), key=lambda row: row.id)

    def with_content(self, template: Template) -> Template:
        """The template with its active version's parameters, presets and source."""
        version = self.versions[template.active_version_id or ""]
        return msgspec.structs.replace(
            template, parameters=version.parameters, presets=version.presets, source=version.source
        )


def stored(row: Row) -> Row:
    """The row as a database gives it back. Raises RefusedByStore for a text that Postgres does not take."""
    try:
        text = msgspec.json.encode(row)
    except UnicodeEncodeError as error:
        raise RefusedByStore(detail=str(error)) from error
    refuse(_NUL.search(text) is not None, "unsupported Unicode escape sequence")
    return msgspec.json.decode(text, type=type(row))


def refuse(condition: bool, detail: str) -> None:  # noqa: FBT001 - reads like a CHECK
    """Raise RefusedByStore when the condition holds."""
    if condition:
        raise RefusedByStore(detail=detail)


def check_ids(*ids: str | None) -> None:
    """Raise RefusedByStore for an id that is no UUID."""
    for text in ids:
        if text is not None:
            try:
                UUID(text)
            except ValueError:
                raise RefusedByStore(detail=f"invalid UUID {text!r}") from None


def check_chat(chat: Chat) -> None:
    """The CHECKs of table `chats`."""
    check_ids(chat.id, chat.owner_id, chat.organization_id, chat.workspace_id, chat.build_id, chat.agent_id)
    refuse(chat.version < 1, "chats_version_check")
    refuse(chat.entered_at is None, "entered_at is null")
    refuse((chat.state is State.FAILED) != (chat.failure is not None), "chats_failed_has_failure")
    refuse(chat.state is State.READY and chat.agent_id is None, "chats_ready_has_agent")
    refuse((chat.state in WAITING) != (chat.deadline_at is not None), "chats_waiting_has_deadline")
    refuse(chat.agent_id is not None and chat.build_id is None, "chats_binding_is_whole")
    refuse(chat.build_id is not None and chat.workspace_id is None, "chats_binding_is_whole")
