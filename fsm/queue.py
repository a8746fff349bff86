"""The queue of start builds, where their number is limited: whose turn it is.

A start build joins the queue when it is wished (`builds.begin_build`); all of it is committed as ever but its job.
Whenever one joins or ends, a message has the queue looked at: the oldest builds that no limit holds back are let go.
The queue is locked while that is decided, so two engines cannot let go one too many; nothing else waits for the lock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec.structs import replace

from workspaced.fsm.builds import look_at_queue, request_job
from workspaced.fsm.change import Effects, change, record
from workspaced.fsm.chat import Cause
from workspaced.fsm.facts import Queue
from workspaced.fsm.inputs import Input
from workspaced.fsm.rows import Queued
from workspaced.fsm.world import World

Line = Literal["owner", "template"]

AT_ONCE = 100
"""So many builds are let go in one batch at most; the next look follows at once."""


def turn(world: World, item: Input) -> None:
    """Let builds go whose turn it is, and tell those that have just joined where they stand.

    The first look of a batch does it for all.
    """
    queue, world.queue = world.queue, []
    first, let_go, effects = len(world.said.transitions), 0, Effects()
    cause = Cause("queue", item.id, item.at)
    for row, place in called(queue):
        facts = world.facts.get(row.workspace_id)
        build = facts.build if facts else None
        joined = build.queue if build else None
        if facts is None or build is None or joined is None or build.id != row.build_id:
            continue  # it was canceled while its lock was waited for
        if place is None:
            let_go += 1
            build = replace(build, queue=None, released_at=world.now)
            effects += request_job(world, replace(facts, build=build))
            if let_go == AT_ONCE:
                effects.append(look_at_queue(world, build))
        elif place.place and not joined.place:
            build = replace(build, queue=place)
        else:
            continue
        change(world, item, cause, replace(facts, build=build), effects)
    record(world, item, first, effects)


def called(queue: Iterable[Queued]) -> Iterator[tuple[Queued, Queue | None]]:
    """Each build with None when its turn has come, else with where it stands once those before it have gone.

    `queue` is oldest first. A build that one limit holds back does not hold up those that wait for another.
    """
    gone: Counter[tuple[Line, str]] = Counter()
    let_go = 0
    for row in queue:
        lines: dict[tuple[Line, str], tuple[int, int, int]] = {
            ("owner", row.owner_id): (row.per_owner, row.owner_running, row.owner_place),
            ("template", row.template_id): (row.per_template, row.template_running, row.template_place),
        }
        held = [
            Queue(place - gone[line], line[0], limit)
            for line, (limit, running, place) in lines.items()
            if limit and running + gone[line] >= limit
        ]
        if held or let_go == AT_ONCE:
            yield row, max(held, key=lambda queue: queue.place, default=Queue())
        else:
            let_go += 1
            gone.update(lines.keys())
            yield row, None
