"""The twin's `load`, as `sql/queries/load.sql` does it."""

import msgspec

from workspaced.fsm.facts import Facts
from workspaced.fsm.rows import Loaded, Needs
from workspaced.store.twin_tables import Tables, check_ids


def load(tables: Tables, needs: Needs) -> Loaded:
    """All that `needs` names, each kind sorted by id."""
    check_ids(*needs.workspaces, *needs.chats, *needs.templates, *(chat for chat, _ in needs.requests))
    named = {*needs.workspaces}
    named |= {row.workspace_id for row in tables.chats.values() if row.id in needs.chats and row.workspace_id}
    named |= {row.workspace_id for row in tables.agents.values() if row.connection in needs.connections}
    workspaces = [tables.workspaces[key] for key in sorted(named) if key in tables.workspaces]
    present = {row.id for row in workspaces}
    builds = [build for row in workspaces if (build := tables.latest_build(row.id))]
    templates = {row.template_id for row in workspaces} | {*needs.templates}
    found = [tables.templates[key] for key in sorted(templates) if key in tables.templates]
    versions = {row.active_version_id for row in found} | {row.template_version_id for row in builds}
    return Loaded(
        settings=dict(tables.settings),
        workspaces=workspaces,
        builds=builds,
        agents=sorted((agent for row in builds for agent in tables.agents_of(row.id)), key=lambda row: row.id),
        chats=sorted(
            (row for row in tables.chats.values() if row.id in needs.chats or row.workspace_id in present),
            key=lambda row: row.id,
        ),
        templates=[msgspec.structs.replace(tables.with_content(row), readme="") for row in found],
        versions=sorted((row for row in tables.versions.values() if row.id in versions), key=lambda row: row.id),
        inputs=sorted(
            (
                row
                for row in tables.inputs.values()
                if row.key in needs.keys or (row.chat_id, row.request_id) in needs.requests
            ),
            key=lambda row: row.key,
        ),
        transitions=sorted(
            (row for row in tables.transitions.values() if row.input_key in needs.keys),
            key=lambda row: (row.chat_id, row.version),
        ),
        departures=[tables.departures[key] for key in sorted(needs.connections) if key in tables.departures],
    )


def facts_of(tables: Tables, workspace_id: str | None) -> Facts | None:
    """The workspace's facts; None when there is no such workspace."""
    workspace = tables.workspaces.get(workspace_id or "")
    if workspace is None:
        return None
    build = tables.latest_build(workspace.id)
    return Facts(workspace, build, tuple(tables.agents_of(build.id)) if build else ())
