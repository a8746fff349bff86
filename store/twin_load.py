"""The twin's `load` and `queue`, as `sql/queries/load.sql` and `queue.sql` do it."""

from collections import Counter

import msgspec

from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import Agent, Facts, Workspace
from workspaced.fsm.rows import InputRow, Loaded, Needs, Queued, TransitionRow, Turns
from workspaced.fsm.settings import Settings, settings_in_force
from workspaced.fsm.template import TemplateVersion
from workspaced.store.twin_tables import Tables, check_ids


def load(tables: Tables, needs: Needs) -> Loaded:
    """All that `needs` names, each kind sorted by id."""
    check_ids(*needs.workspaces, *needs.chats, *needs.templates, *(chat for chat, _ in needs.requests))
    queued = queue(tables, needs.turns) if needs.turns else []
    workspaces = _workspaces(tables, needs, queued)
    present = {row.id for row in workspaces}
    builds = [build for row in workspaces if (build := tables.latest_build(row.id))]
    agents = (agent for build in builds for agent in tables.agents_of(build.id))
    chats = (row for row in tables.chats.values() if row.id in needs.chats or row.workspace_id in present)
    wanted = {row.template_id for row in workspaces} | {*needs.templates}
    templates = [tables.templates[key] for key in sorted(wanted) if key in tables.templates]
    versions = {row.active_version_id for row in templates} | {row.template_version_id for row in builds}
    inputs = (row for row in tables.inputs.values() if _is_needed(row, needs))
    return Loaded(
        settings=dict(tables.settings),
        workspaces=workspaces,
        builds=builds,
        agents=sorted(agents, key=_id),
        chats=sorted(chats, key=_id),
        templates=[msgspec.structs.replace(tables.with_content(row), readme="") for row in templates],
        versions=sorted((row for row in tables.versions.values() if row.id in versions), key=_id),
        inputs=sorted(inputs, key=lambda row: row.key),
        transitions=sorted(_caused(tables, needs), key=lambda row: (row.chat_id, row.version)),
        departures=[tables.departures[key] for key in sorted(needs.connections) if key in tables.departures],
        queue=queued,
    )


def _workspaces(tables: Tables, needs: Needs, queued: list[Queued]) -> list[Workspace]:
    """Those that are named, and those of the chats and agents that are."""
    named = {*needs.workspaces, *(row.workspace_id for row in queued)}
    if needs.turns:
        named |= {row.workspace_id for row in _caused(tables, needs) if row.workspace_id}
    named |= {row.workspace_id for row in tables.chats.values() if row.id in needs.chats and row.workspace_id}
    named |= {row.workspace_id for row in tables.agents.values() if row.connection in needs.connections}
    return [tables.workspaces[key] for key in sorted(named) if key in tables.workspaces]


def _caused(tables: Tables, needs: Needs) -> list[TransitionRow]:
    return [row for row in tables.transitions.values() if row.input_key in needs.keys]


def _is_needed(row: InputRow, needs: Needs) -> bool:
    return row.key in needs.keys or (row.chat_id, row.request_id) in needs.requests


def _id(row: Agent | Chat | TemplateVersion) -> str:
    return row.id


def queue(tables: Tables, turns: Turns) -> list[Queued]:
    """What `turns` asks for, oldest first."""
    defaults = Settings(builds_per_owner=turns.per_owner, builds_per_template=turns.per_template)
    settings, _ = settings_in_force(tables.settings, defaults)
    per_owner, per_template = settings.builds_per_owner, settings.builds_per_template
    running: Counter[str] = Counter()
    places: Counter[str] = Counter()
    waiting = []
    for build in tables.builds.values():
        if build.transition == "start" and not build.completed_at and not build.error and not build.foreign:
            workspace = tables.workspaces[build.workspace_id]
            if build.queue is None:
                running.update((workspace.owner_id, workspace.template_id))
            else:
                waiting.append((build.requested_at, build.id, workspace))
    found, fit = [], 0
    for _, build_id, workspace in sorted(waiting, key=lambda one: one[:2]):
        owner, template = workspace.owner_id, workspace.template_id
        places.update((owner, template))
        row = Queued(
            workspace_id=workspace.id,
            build_id=build_id,
            owner_id=owner,
            template_id=template,
            per_owner=per_owner,
            per_template=per_template,
            owner_running=running[owner],
            template_running=running[template],
            owner_place=places[owner],
            template_place=places[template],
        )
        fits = not (per_owner and running[owner] >= per_owner) and not (
            per_template and running[template] >= per_template
        )
        fit += fits
        if (fits and fit <= turns.at_once) or workspace.id in turns.workspaces:
            found.append(row)
    return found


def facts_of(tables: Tables, workspace_id: str | None) -> Facts | None:
    """The workspace's facts; None when there is no such workspace."""
    workspace = tables.workspaces.get(workspace_id or "")
    if workspace is None:
        return None
    build = tables.latest_build(workspace.id)
    return Facts(workspace, build, tuple(tables.agents_of(build.id)) if build else ())
