"""The twin's `write`: the same rows, guards and unique keys as `sql/queries/write.sql`."""

from collections.abc import Hashable
from typing import TypeVar

from workspaced.fsm.errors import VersionConflict
from workspaced.fsm.facts import Agent, Build, Workspace, job_status
from workspaced.fsm.rows import Changes, ChatWrite, InputRow
from workspaced.store.twin_tables import Tables, check_chat, check_ids, refuse, stored

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


def write(tables: Tables, changes: Changes) -> None:
    """Apply all changes in order. Raises as `port.Batch.write`; `tables` are not to be used then."""
    for workspace in changes.workspaces:
        _write_workspace(tables, stored(workspace))
    for build in changes.builds:
        _write_build(tables, stored(build))
    for agent in changes.agents:
        _write_agent(tables, stored(agent))
    for change in changes.chats:
        _write_chat(tables, stored(change))
    for transition in changes.transitions:
        refuse(transition.version < 1, "transitions_version_check")
        _insert(tables.transitions, (transition.chat_id, transition.version), stored(transition))
    for row in changes.inputs:
        _write_input(tables, stored(row))
    for report in changes.stale:
        tables.stale.setdefault((report.workspace_id, report.input_key), stored(report))
    for departure in changes.departures:
        tables.departures.setdefault((departure.server_id, departure.client_id), stored(departure))
    _check_references(tables, changes)


def _write_workspace(tables: Tables, row: Workspace) -> None:
    check_ids(row.id, row.owner_id, row.organization_id, row.template_id)
    if not row.deleted and not row.name_released:
        name = (row.owner_id, row.name.lower())
        for other in tables.workspaces.values():
            if other.id != row.id and not other.deleted and not other.name_released:
                _unique((other.owner_id, other.name.lower()) != name, "workspaces_name")
    tables.workspaces[row.id] = row


def _write_build(tables: Tables, row: Build) -> None:
    check_ids(row.id, row.workspace_id, row.job_id)
    former = tables.builds.get(row.id)
    if former is not None:
        same = (former.workspace_id, former.build_number) == (row.workspace_id, row.build_number)
        refuse(not same, "this id is another build's")
    refuse(row.build_number < 1, "builds_build_number_check")
    refuse(
        row.queue is not None and (row.transition, job_status(row)) != ("start", "pending"), "builds_queued_is_pending"
    )
    for other in tables.builds.values():
        if other.id != row.id and other.workspace_id == row.workspace_id:
            _unique(other.build_number != row.build_number, "builds_workspace_id_build_number_key")
            _unique(not (_unfinished(other) and _unfinished(row)), "builds_unfinished")
    tables.builds[row.id] = row


def _write_agent(tables: Tables, row: Agent) -> None:
    check_ids(row.id, row.workspace_id, row.build_id)
    former = tables.agents.get(row.id)
    refuse(former is not None and former.workspace_id != row.workspace_id, "this id is another workspace's agent's")
    refuse((row.server_id is None) != (row.client_id is None), "agents_check")
    tables.agents[row.id] = row


def _write_chat(tables: Tables, change: ChatWrite) -> None:
    check_chat(change.chat)
    former = tables.chats.get(change.chat.id)
    if (former.version if former else 0) != change.expected_version:
        raise VersionConflict(detail=f"chat {change.chat.id} had moved")
    tables.chats[change.chat.id] = change.chat


def _write_input(tables: Tables, row: InputRow) -> None:
    if row.request_id is not None:
        for other in tables.inputs.values():
            _unique((other.chat_id, other.request_id) != (row.chat_id, row.request_id), "inputs_request")
    _insert(tables.inputs, row.key, row)


def _insert(table: dict[Key, Row], key: Key, row: Row) -> None:
    _unique(key not in table, f"key {key} exists")
    table[key] = row


def _unique(condition: bool, name: str) -> None:  # noqa: FBT001 - reads like a constraint
    if not condition:
        raise VersionConflict(detail=f"unique key {name}")


def _unfinished(build: Build) -> bool:
    return build.completed_at is None and not build.error


def _check_references(tables: Tables, changes: Changes) -> None:
    """Foreign keys, at the end of the statement."""
    for workspace in changes.workspaces:
        refuse(workspace.template_id not in tables.templates, "workspaces_template_id_fkey")
    for build in changes.builds:
        refuse(build.workspace_id not in tables.workspaces, "builds_workspace_id_fkey")
    for agent in changes.agents:
        refuse(agent.workspace_id not in tables.workspaces, "agents_workspace_id_fkey")
        refuse(agent.build_id not in tables.builds, "agents_build_id_fkey")
    for change in changes.chats:
        bound = change.chat.workspace_id
        refuse(bound is not None and bound not in tables.workspaces, "chats_workspace_id_fkey")
