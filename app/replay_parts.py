"""What hangs together, and so must be played together: chats, workspaces, and connections that several agents named."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from workspaced.app.replay import Fired, Step
from workspaced.bus import streams
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentEvent
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent
from workspaced.fsm.needs import needs_of
from workspaced.fsm.settings import Settings
from workspaced.store.audit import Record

INCOMPLETE: Final = "not all of it is kept"
LIMITED: Final = "builds were limited"
"""When one has its turn is decided by all the others."""

Thing = tuple[str, ...]
"""("chat", id), ("workspace", id) or ("link", server id, client id)."""


class Part(Struct):
    """Chats and workspaces that hang together, and what happened to them."""

    chats: set[str] = field(default_factory=set)
    workspaces: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    left_out: str = ""
    """Why it cannot be played."""
    untimed: bool = False
    """An event left no row: when it was decided is not known, only that it came in its place."""


class _Union:
    """Which things hang together."""

    def __init__(self) -> None:
        self._parents: dict[Thing, Thing] = {}

    def root(self, thing: Thing) -> Thing:
        parent = self._parents.setdefault(thing, thing)
        while parent != thing:
            self._parents[thing] = self._parents[parent]
            thing, parent = parent, self._parents[parent]
        return thing

    def join(self, things: list[Thing]) -> None:
        for thing in things[1:] or things:
            self._parents[self.root(thing)] = self.root(things[0])

    def all(self) -> list[Thing]:
        return list(self._parents)


def parts_of(records: list[Record], events: list[Input], acknowledged: int) -> list[Part]:
    """The parts, their steps in order; one with an event of EVENTS above `acknowledged` is not done."""
    union = _Union()
    by_key: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_key[record.key].append(record)
        union.join(_named(record))
    for item in events:
        union.join([*_concerned(item), *(thing for record in by_key.get(item.key, ()) for thing in _named(record))])
    parts: dict[Thing, Part] = defaultdict(Part)
    for thing in union.all():
        part = parts[union.root(thing)]
        if thing[0] == "chat":
            part.chats.add(thing[1])
        elif thing[0] == "workspace":
            part.workspaces.add(thing[1])
    _hand_out_events(events, by_key, acknowledged, lambda item: parts[union.root(_concerned(item)[0])])
    for thing in [thing for record in records if record.looks for thing in _named(record)]:
        parts[union.root(thing)].left_out = LIMITED
    present = {item.key for item in events}
    for key, made in by_key.items():
        if key not in present and (named := [thing for record in made for thing in _named(record)]):
            _note_absent(parts[union.root(named[0])], key, made)
    first = {record.chat_id: record.version for record in reversed(records) if record.version}
    for part in parts.values():
        part.left_out = part.left_out or (INCOMPLETE if any(first.get(chat, 1) > 1 for chat in part.chats) else "")
        part.steps.sort(key=lambda step: (step.at, not step.key.startswith(streams.EVENTS)))  # stable: as they came
    return [part for part in parts.values() if part.chats or part.workspaces]


def _hand_out_events(
    events: Iterable[Input], by_key: dict[str, list[Record]], acknowledged: int, part_of: Callable[[Input], Part]
) -> None:
    last: dict[int, Any] = {}
    for item in events:
        part, made = part_of(item), by_key.get(item.key, [])
        if int(item.key.rpartition("/")[2]) > acknowledged:
            part.left_out = "it moves"
        if not made and isinstance(item.payload, Ask):
            continue  # refused, or asked before: it changed nothing
        if isinstance(item.payload, Ask) and all(record.version for record in made):
            part.left_out = INCOMPLETE  # its answer was pruned
        # One that left no record changed at most facts nobody saw; unless it was delivered again its place is right.
        part.untimed = part.untimed or not made
        at = made[0].at if made else max(item.received, last.get(id(part), item.received))
        last[id(part)] = at
        jobs = [job for record in made for job in msgspec.json.decode(record.jobs, type=list[Job])]
        part.steps.append(Step(at, item.key, item, tuple(jobs)))


def _note_absent(part: Part, key: str, made: list[Record]) -> None:
    """An input that EVENTS does not hold: a timer, or one that is gone for good."""
    events = {record.event for record in made} - {None}
    if not key.startswith(streams.TIMERS) or not events.isdisjoint({"sys.disconnect", "queue"}):
        part.left_out = part.left_out or INCOMPLETE
        return
    for event in events:
        record = next(record for record in made if record.event == event)
        jobs = [job for record in made for job in msgspec.json.decode(record.jobs, type=list[Job])]
        fired = Fired(str(event), record.chat_id or "", record.workspace_id or "")
        part.steps.append(Step(record.at, key, fired, tuple(jobs)))


def _named(record: Record) -> list[Thing]:
    named = (("chat", record.chat_id), ("workspace", record.workspace_id))
    return [(kind, name) for kind, name in named if name is not None]


def _concerned(item: Input) -> list[Thing]:
    needs = needs_of([item], Settings())
    links = set(needs.connections)
    if isinstance(item.payload, WorkspaceEvent) and isinstance(item.payload.event, AgentEvent):
        links.add((item.payload.event.server_id, item.payload.event.client_id))
    return [
        *(("chat", chat) for chat in needs.chats),
        *(("workspace", workspace) for workspace in needs.workspaces),
        *(("link", server, str(client)) for server, client in links),
    ]
