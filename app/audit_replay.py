"""Whether the stored events, played anew from nothing, come to the stored rows.

A part of which EVENTS or the history no longer hold everything cannot be played, and one that moves meanwhile is not;
neither is one whose lost link or overdue job the engine found by itself while no chat looked on, for nothing tells of
that any more. Where an event left no row, as a repeated one, nobody knows whether it was decided in its place or later,
when it was delivered again; then a difference proves nothing. All of these are counted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Final

from msgspec import Struct, field
from nats.aio.client import Client

from workspaced.app.replay import Differs, replay
from workspaced.app.replay_parts import INCOMPLETE, Part, parts_of
from workspaced.bus import streams
from workspaced.bus.decode import decode
from workspaced.bus.look_up import stream_state
from workspaced.bus.survey import headers_of
from workspaced.fsm.chat import Chat
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.facts import Agent, Build, Workspace, job_status
from workspaced.fsm.inputs import Input
from workspaced.fsm.rows import Loaded, Needs
from workspaced.fsm.settings import Settings
from workspaced.store.audit import MOST, AuditRows, Found, Record
from workspaced.store.postgres import PostgresStore
from workspaced.store.twin_tables import Tables

PAGE: Final = 500
MOST_EVENTS: Final = 200_000
"""More than that are not played: it would take minutes."""

CHANGED: Final = "settings were changed since"


class Played(Struct):
    """What a replay found."""

    found: list[Found] = field(default_factory=list)
    parts: int = 0
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How many parts were not played, by the reason."""


async def check_replay(
    rows: AuditRows,
    dsn: str,
    admin: Client,
    acknowledged: int,
    defaults: Settings,
    tell: Callable[[str, int, int], None],
) -> Played:
    """Play what can be played, under the engines' `defaults`. `acknowledged`: of EVENTS, noted before any row was read.

    Raises Unavailable.
    """
    played = Played()
    state = await stream_state(admin, streams.EVENTS)
    if state.last_sequence - state.first_sequence > MOST_EVENTS:
        played.left_out["EVENTS holds too much"] = 1
        return played
    records = await rows.records(state.held_since)
    store = PostgresStore(dsn, pool_size=1)
    await store.open()
    try:
        stored = await _stored(store, records)
    finally:
        await store.close()
    events = await _events(admin)
    parts = parts_of(records, events, acknowledged)
    changed_at = await rows.settings_changed_at()
    last = {record.chat_id: record.version for record in records if record.version}
    for done, part in enumerate(parts):
        if done % 100 == 0:
            tell("replay", done, len(parts))
        if changed_at is not None and any(step.at < changed_at for step in part.steps):
            part.left_out = part.left_out or CHANGED
        if not part.left_out and len(played.found) < MOST:
            part.left_out = await _play(part, stored, defaults, last, played.found)
        if part.left_out:
            played.left_out[part.left_out] += 1
    played.parts = len(parts)
    tell("replay", len(parts), len(parts))
    return played


async def _stored(store: PostgresStore, records: Iterable[Record]) -> Loaded:
    """All rows that the records name."""
    chats = sorted({record.chat_id for record in records if record.chat_id})
    workspaces = sorted({record.workspace_id for record in records if record.workspace_id})
    stored = Loaded()
    for start in range(0, max(len(chats), len(workspaces)), PAGE):
        page = slice(start, start + PAGE)
        loaded = await store.read(Needs(chats=tuple(chats[page]), workspaces=tuple(workspaces[page])))
        for name in ("workspaces", "builds", "agents", "chats", "templates", "versions"):
            getattr(stored, name).extend(getattr(loaded, name))
        stored.settings = loaded.settings
    return stored


async def _events(admin: Client) -> list[Input]:
    """Every message of EVENTS that says something, ascending."""
    events: list[Input] = []
    async with aclosing(headers_of(admin, streams.EVENTS, bodies=True)) as pages:
        async for page in pages:
            for stored in page:
                with suppress(UndecodableMessage):
                    events += filter(None, [decode(stored)])
    return events


async def _play(part: Part, stored: Loaded, defaults: Settings, last: dict[str | None, int], found: list[Found]) -> str:
    """Play one part and note what differs; or why that says nothing."""
    rows = _rows_of(part, stored)
    known = {version.id for version in stored.versions}
    made = {job.workspace.id for step in part.steps for job in step.jobs if job.build_number == 1}
    if any(chat.version != last.get(chat.id) for chat in rows.chats.values()):
        return "it moves"
    if rows.workspaces.keys() - made:
        return INCOMPLETE
    if any(job.template.version_id not in known for step in part.steps for job in step.jobs):
        return "its template was changed"
    try:
        played = (await replay(part.steps, stored, defaults)).tables
    except Differs as difference:
        differing = [Found(_ids(part), str(difference))]
    else:
        if _was_found_silently(rows, played):
            return "no message tells of it any more"
        differing = list(_differing(rows, played))
    if differing and part.untimed:
        return "the order of its events is not known"
    found += differing
    return ""


def _differing(rows: Tables, played: Tables) -> Iterator[Found]:
    for kind, view in _VIEWS.items():
        for key, row in getattr(rows, kind).items():
            if (now := view(row)) != (then := _seen(view, getattr(played, kind).get(key))):
                ids = {f"{kind.removesuffix('s')}_id": key}
                yield Found(ids, f"{now} is stored, but {then} is what the events come to")


def _rows_of(part: Part, stored: Loaded) -> Tables:
    return Tables(
        workspaces={row.id: row for row in stored.workspaces if row.id in part.workspaces},
        builds={row.id: row for row in stored.builds if row.workspace_id in part.workspaces},
        agents={row.id: row for row in stored.agents if row.workspace_id in part.workspaces},
        chats={row.id: row for row in stored.chats if row.id in part.chats},
    )


def _ids(part: Part) -> dict[str, str]:
    return {"chat_id": min(part.chats)} if part.chats else {"workspace_id": min(part.workspaces)}


def _was_found_silently(rows: Tables, played: Tables) -> bool:
    agents = [(row, played.agents[key]) for key, row in rows.agents.items() if key in played.agents]
    builds = [(row, played.builds[key]) for key, row in rows.builds.items() if key in played.builds]
    lost = any(row.disconnected_at is not None and then.connected for row, then in agents)
    limited = any(row.limited and not then.limited for row, then in builds)
    return lost or limited


def _chat(row: Chat) -> tuple[object, ...]:
    failure = (row.failure.phase.value, row.failure.code) if row.failure else None
    return row.state.value, row.workspace_id, row.build_id, row.agent_id, failure


def _workspace(row: Workspace) -> tuple[object, ...]:
    return row.name, row.owner_id, row.deleted, row.name_released, row.was_ready, row.next


def _build(row: Build) -> tuple[object, ...]:
    error = None if row.limited else row.error  # a limit's text names the limit
    return row.build_number, row.transition, job_status(row), row.reported, row.started_at, error, row.agents_told


def _agent(row: Agent) -> tuple[object, ...]:
    return row.name, row.announced, row.connection, row.gone, row.connected, row.lifecycle


_VIEWS: Final[dict[str, Callable[..., tuple[object, ...]]]] = {
    "chats": _chat,
    "workspaces": _workspace,
    "builds": _build,
    "agents": _agent,
}
"""What is compared. Not so are times that depend on settings, which may have been others, and versions: two engines may
decide two messages of one workspace in either order, which comes to the same state by another number of steps."""


def _seen(view: Callable[..., tuple[object, ...]], row: object) -> tuple[object, ...] | None:
    return None if row is None else view(row)
