"""The store in memory, the twin of `PostgresStore`: for tests and for trying things out; it ends with the process."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from workspaced.fsm.effects import ChatDeadline, SetTimer, WorkspaceExpiry
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.facts import Agent, Build, Facts
from workspaced.fsm.rows import Changes, Loaded, Needs, Queued, StaleRow, TransitionRow, Turns
from workspaced.fsm.state import State
from workspaced.fsm.template import Template
from workspaced.store import catalogue
from workspaced.store.pages import chat_page, cut, workspace_page
from workspaced.store.port import SAMPLES, ChatPage, WorkspacePage
from workspaced.store.twin_load import facts_of, load, queue
from workspaced.store.twin_tables import Tables, check_ids, stored
from workspaced.store.twin_write import write

PRUNED = "pruned_before"
"""The mark that tells how far history was forgotten."""


class MemoryBatch:
    """Works on a copy of the tables, which becomes the tables at commit."""

    def __init__(self, tables: Tables, loaded: Loaded) -> None:
        self.tables = tables
        self.loaded = loaded
        self.failed: WorkspacedError | None = None

    async def taken_names(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of `names` that are taken."""
        live = (row for row in self.tables.workspaces.values() if not row.deleted and not row.name_released)
        return {(row.owner_id, row.name.lower()) for row in live} & set(names)

    async def write(self, changes: Changes) -> None:
        """Apply the changes to the copy."""
        try:
            write(self.tables, changes)
        except WorkspacedError as error:
            self.failed = error
            raise


class MemoryStore:
    """One batch at a time; readers see what was committed last."""

    def __init__(self) -> None:
        self.tables = Tables()
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do; the rows stay."""

    async def ping(self) -> None:
        """It is there."""

    async def renew(self) -> None:
        """There are none."""

    @asynccontextmanager
    async def batch(self, needs: Needs) -> AsyncIterator[MemoryBatch]:
        """One lock for all rows."""
        async with self._lock:
            batch = MemoryBatch(self.tables.copy(), load(self.tables, needs))
            yield batch
            if batch.failed is not None:
                raise batch.failed
            self.tables = batch.tables

    async def read(self, needs: Needs) -> Loaded:
        """The committed rows."""
        return load(self.tables, needs)

    async def chats(
        self,
        *,
        state: State | None = None,
        owner_id: str | None = None,
        template_id: str | None = None,
        organization_id: str | None = None,
        unbound: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> ChatPage:
        """Looks at every chat."""
        check_ids(owner_id, template_id, organization_id, after)
        facts = {row.id: facts_of(self.tables, row.id) for row in self.tables.workspaces.values()}
        found = [
            row
            for _, row in sorted(self.tables.chats.items())
            if (after is None or row.id > after)
            and (state is None or row.state is state)
            and (owner_id is None or row.owner_id == owner_id)
            and (template_id is None or _template_of(facts.get(row.workspace_id or "")) == template_id)
            and (organization_id is None or row.organization_id == organization_id)
            and not (unbound and _live(facts.get(row.workspace_id or "")))
        ]
        return chat_page(found, {key: row for key, row in facts.items() if row}, limit)

    async def workspaces(
        self,
        *,
        owner_id: str | None = None,
        template_id: str | None = None,
        organization_id: str | None = None,
        unbound: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> WorkspacePage:
        """Looks at every workspace."""
        check_ids(owner_id, template_id, organization_id, after)
        bound = {row.workspace_id for row in self.tables.chats.values()}
        found = [
            facts
            for key, row in sorted(self.tables.workspaces.items())
            if not row.deleted
            and (after is None or key > after)
            and (owner_id is None or row.owner_id == owner_id)
            and (template_id is None or row.template_id == template_id)
            and (organization_id is None or row.organization_id == organization_id)
            and not (unbound and key in bound)
            and (facts := facts_of(self.tables, key))
        ]
        return workspace_page(found, self.tables.chats.values(), limit)

    async def organization_of(self, build_id: str) -> str | None:
        """By ids."""
        check_ids(build_id)
        build = self.tables.builds.get(build_id)
        return self.tables.workspaces[build.workspace_id].organization_id if build else None

    async def history(
        self, chat_id: str, after_version: int = 0, limit: int = 100
    ) -> tuple[list[TransitionRow], int | None]:
        """Looks at every transition."""
        found = [
            msgspec.structs.replace(row, snapshot=msgspec.Raw(b"null"), effects=())
            for (chat, version), row in sorted(self.tables.transitions.items())
            if chat == chat_id and version > after_version
        ]
        page, last = cut(found, limit)
        return list(page), last.version if last else None

    async def stale_of(self, chat_id: str, limit: int = 100) -> list[StaleRow]:
        """Looks at every stale report."""
        chat = self.tables.chats.get(chat_id)
        rows = [row for row in self.tables.stale.values() if chat and row.workspace_id == chat.workspace_id]
        return sorted(rows, key=lambda row: (row.at, row.input_key))[-limit:]

    async def put_template(self, template: Template, version_id: str) -> Template:
        """Names are compared as Postgres does, ignoring case."""
        async with self._lock:
            former = self.tables.templates.get(template.id)
            before = self.tables.with_content(former) if former else None
            put, version = catalogue.as_put(stored(template), before, version_id)
            for other in self.tables.templates.values():
                same = (other.organization_id, other.name.lower()) == (put.organization_id, put.name.lower())
                if same and other.id != put.id and not other.deleted:
                    raise catalogue.name_taken(put)
            self.tables.templates[put.id] = put
            if version is not None:
                self.tables.versions[version.id] = msgspec.structs.replace(version, created_at=datetime.now(UTC))
            return put

    async def template(self, template_id: str) -> Template | None:
        """By id."""
        check_ids(template_id)
        return self.tables.templates.get(template_id)

    async def templates(
        self,
        *,
        organization_id: str | None = None,
        query: str = "",
        page: int = 1,
        page_size: int = 10,
        include_hidden: bool = False,
    ) -> tuple[list[tuple[Template, int]], int]:
        """Looks at every template and workspace."""
        owners: dict[str, set[str]] = defaultdict(set)
        for row in self.tables.workspaces.values():
            if not row.deleted:
                owners[row.template_id].add(row.owner_id)
        found = [
            (row, len(owners[row.id]))
            for row in self.tables.templates.values()
            if not row.deleted
            and (organization_id is None or row.organization_id == organization_id)
            and (include_hidden or (row.agents_allowed and not row.deprecated))
            and any(
                query.lower() in text.lower() for text in (row.name, row.display_name, row.description, row.abstract)
            )
        ]
        found.sort(key=lambda pair: (-pair[1], pair[0].name, pair[0].id))
        skip = (max(page, 1) - 1) * page_size
        return found[skip : skip + page_size], len(found)

    async def delete_template(self, template_id: str) -> None:
        """Marks it."""
        check_ids(template_id)
        async with self._lock:
            template = self.tables.templates.get(template_id)
            if template is None or template.deleted:
                raise catalogue.unknown()
            if any(row.template_id == template_id and not row.deleted for row in self.tables.workspaces.values()):
                raise catalogue.in_use()
            self.tables.templates[template_id] = msgspec.structs.replace(template, deleted=True)

    async def settings(self) -> dict[str, str]:
        """A copy."""
        return dict(self.tables.settings)

    async def put_settings(self, texts: dict[str, str]) -> None:
        """Merges."""
        async with self._lock:
            self.tables.settings |= texts

    async def timers(self, only_overdue_at: datetime | None = None) -> AsyncGenerator[SetTimer, None]:
        """Looks at every chat and workspace."""
        timers = [
            SetTimer(row.deadline_at, ChatDeadline(row.id, row.deadline_version))
            for row in self.tables.chats.values()
            if row.deadline_at is not None
        ] + [
            SetTimer(row.ttl_at, WorkspaceExpiry(row.id, row.ttl_at))
            for row in self.tables.workspaces.values()
            if row.ttl_at is not None and not row.deleted
        ]
        for timer in sorted(timers, key=lambda timer: (timer.at, timer.due.slot)):
            if only_overdue_at is None or timer.at <= only_overdue_at:
                yield timer

    async def unfinished_builds(
        self, *, requested_by: datetime | None = None, started_by: datetime | None = None
    ) -> AsyncGenerator[Build, None]:
        """Looks at every build."""
        for row in sorted(self.tables.builds.values(), key=lambda row: row.workspace_id):
            taken = row.started_at is not None
            since, limit = (
                (row.started_at, started_by) if taken else (row.released_at or row.requested_at, requested_by)
            )
            unfinished = row.completed_at is None and not row.error and row.queue is None
            if unfinished and (limit is None or (since is not None and since <= limit)):
                yield row

    async def queue(self, turns: Turns) -> list[Queued]:
        """Looks at every build."""
        return queue(self.tables, turns)

    async def queue_length(self) -> int:
        """Looks at every build."""
        return sum(row.queue is not None for row in self.tables.builds.values())

    async def connected_agents(self) -> AsyncGenerator[Agent, None]:
        """Looks at the agents of every live workspace's latest build."""
        live = (facts_of(self.tables, row.id) for row in self.tables.workspaces.values() if not row.deleted)
        for row in sorted((agent for facts in live if facts for agent in facts.agents), key=lambda row: row.id):
            if row.connection and not row.gone and row.last_connected_at is not None:
                lost = row.disconnected_at
                if lost is None or lost < row.last_connected_at:
                    yield row

    async def typical_samples(self) -> list[tuple[str, State, list[int]]]:
        """Looks at every transition."""
        samples: dict[tuple[str, State], list[int]] = defaultdict(list)
        for row in sorted(self.tables.transitions.values(), key=lambda row: row.at, reverse=True):
            if row.took_ms is not None and row.to_state is not State.FAILED and row.template_id is not None:
                samples[row.template_id, row.from_state].append(row.took_ms)
        return [(template, state, took[:SAMPLES]) for (template, state), took in sorted(samples.items())]

    async def marks(self) -> dict[str, str]:
        """A copy."""
        return dict(self.tables.marks)

    async def put_mark(self, name: str, text: str) -> None:
        """Replaces."""
        async with self._lock:
            self.tables.marks[name] = text

    async def prune(self, before: datetime) -> int:
        """Builds the tables anew."""
        async with self._lock:
            kept, count = self.tables.copy(), 0
            for name in ("transitions", "inputs", "stale", "departures"):
                table = getattr(kept, name)
                old = [key for key, row in table.items() if row.at < before and not self._is_last(row)]
                count += len(old)
                for key in old:
                    del table[key]
            pruned = max(before, datetime.fromisoformat(kept.marks.get(PRUNED, before.isoformat())))
            kept.marks[PRUNED] = pruned.isoformat()
            self.tables = kept
            return count

    def _is_last(self, row: object) -> bool:
        return isinstance(row, TransitionRow) and self.tables.chats[row.chat_id].version == row.version


def _template_of(facts: Facts | None) -> str | None:
    return facts.workspace.template_id if facts else None


def _live(facts: Facts | None) -> bool:
    return facts is not None and not facts.workspace.deleted
