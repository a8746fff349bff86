"""Playing inputs anew from nothing, over the store in memory: the same rows must come of it.

Ids are made up when an input is decided, so what is decided anew is given the ids that were recorded then: those of
the jobs that the input published, in their order.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from workspaced.app.clock import RandomIds
from workspaced.fsm.apply import apply
from workspaced.fsm.commands import Create
from workspaced.fsm.effects import ChatDeadline, Due, Job, JobLimit, PublishJob, WorkspaceExpiry
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.inputs import Ask, Input
from workspaced.fsm.needs import names_asked, needs_of
from workspaced.fsm.rows import Changes, Loaded
from workspaced.fsm.settings import COUNTS, Settings
from workspaced.fsm.world import Said, World
from workspaced.store.errors import RefusedByStore
from workspaced.store.memory import MemoryStore
from workspaced.store.twin_load import facts_of


class Fired(Struct, frozen=True):
    """A timer that is in no stream any more: what it moved tells which one it was."""

    event: str
    chat_id: str
    workspace_id: str


class Step(Struct, frozen=True):
    """An input, when it was decided, and the jobs that it published."""

    at: datetime
    key: str
    told: Input | Fired
    jobs: tuple[Job, ...] = ()


class Differs(Exception):  # what is found, not an error of ours
    """An input that comes to something else now than it did."""


async def replay(steps: Iterable[Step], stored: Loaded, defaults: Settings) -> MemoryStore:
    """The store after `steps`, each decided at its time.

    Templates and settings are those of `stored`, as they are now; `defaults` are the engines' own.

    The number of builds is not limited. Raises Differs. An input that cannot be used is left out, as it was then.
    """
    store = MemoryStore()
    store.tables.settings = {name: text for name, text in stored.settings.items() if name not in COUNTS}
    store.tables.versions = {version.id: version for version in stored.versions}
    # Whatever became of a template since: what was made from it was allowed then.
    store.tables.templates = {
        row.id: replace(row, deleted=False, deprecated=False, agents_allowed=True) for row in stored.templates
    }
    for step in steps:
        item = step.told if isinstance(step.told, Input) else _due(store, step, step.told)
        with suppress(UndecodableMessage, RefusedByStore):
            await _play(store, step, item, defaults)
    return store


def _due(store: MemoryStore, step: Step, fired: Fired) -> Input:
    """The timer that was in force."""
    chat = store.tables.chats.get(fired.chat_id)
    facts = facts_of(store.tables, fired.workspace_id)
    payload: Due
    if fired.event == "deadline" and chat is not None:
        payload = ChatDeadline(chat.id, chat.deadline_version)
    elif fired.event == "ttl" and facts is not None:
        facts = replace(facts, workspace=replace(facts.workspace, ttl_at=step.at))  # settings may have been others
        store.tables.workspaces[fired.workspace_id] = facts.workspace
        payload = WorkspaceExpiry(fired.workspace_id, step.at)
    elif fired.event == "limit" and facts is not None and facts.build is not None:
        status: Literal["pending", "running"] = "pending" if facts.build.started_at is None else "running"
        payload = JobLimit(fired.workspace_id, facts.build.job_id, status)
    else:
        raise Differs(f"{step.key} was a {fired.event} of nothing that is there")
    return Input(step.key, step.key, step.at, step.at, "", payload)


async def _play(store: MemoryStore, step: Step, item: Input, defaults: Settings) -> None:
    for job in step.jobs:
        template = store.tables.templates.get(job.template.id)
        if template is not None and job.template.version_id in store.tables.versions:
            store.tables.templates[template.id] = replace(template, active_version_id=job.template.version_id)
    async with store.batch(needs_of([item], defaults)) as batch:
        world = World(batch.loaded, step.at, RandomIds(), defaults)
        names_asked(world, [item])
        if isinstance(item.payload, Ask) and isinstance(command := item.payload.command, Create):
            made = [job.workspace.name for job in step.jobs if job.build_number == 1]
            world.names[command.chat_id, command.request_id] = made or world.names[command.chat_id, command.request_id]
        apply(world, item)
        await batch.write(_renamed(world.changes(), _ids(world.said, step)))


def _ids(said: Said, step: Step) -> dict[str, str]:
    """By id that was made up now, the one that was made up then."""
    effects = [*said.effects, *(effect for row in said.transitions for effect in row.effects)]
    jobs = [effect.job for effect in effects if isinstance(effect, PublishJob)]
    now, then = ([(job.transition, job.build_number) for job in some] for some in (jobs, step.jobs))
    if now != then:
        raise Differs(f"{step.key} publishes the jobs {now}, but published {then}")
    ids: dict[str, str] = {}
    for new, old in zip(jobs, step.jobs, strict=True):
        ids |= {new.workspace.id: old.workspace.id, new.build_id: old.build_id, new.job_id: old.job_id}
    return ids


def _renamed(changes: Changes, ids: dict[str, str]) -> Changes:
    text = msgspec.json.encode(changes)
    for new, old in ids.items():
        text = text.replace(new.encode(), old.encode())
    return msgspec.json.decode(text, type=Changes)
