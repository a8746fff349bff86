"""The queue of start builds, on any store: what a look at it finds, locks and loads."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.store_rows import (
    NOW,
    OWNER,
    TEMPLATE,
    VERSION,
    a_build,
    a_chat,
    a_template,
    a_transition,
    a_workspace,
    an_id,
    new,
    put,
)
from workspaced.fsm.facts import Build, Queue
from workspaced.fsm.rows import Changes, Needs, Queued, Turns
from workspaced.store.errors import RefusedByStore
from workspaced.store.port import Store

OTHER_OWNER, OTHER_TEMPLATE = an_id(20), an_id(30)


async def fill(store: Store, *builds: Build, owners: dict[int, str] | None = None) -> None:
    """The builds with their workspaces, each with a chat; `owners` by workspace, else the usual one."""
    await store.put_template(a_template(), VERSION)
    await store.put_template(a_template(id=OTHER_TEMPLATE, name="other"), an_id(31))
    numbers = [int(build.workspace_id[-12:], 16) for build in builds]
    owner_of = {number: (owners or {}).get(number, OWNER) for number in numbers}
    await put(
        store,
        Changes(
            workspaces=[a_workspace(number, owner_id=owner_of[number]) for number in numbers],
            builds=list(builds),
            chats=new(*(a_chat(number + 1000, workspace_id=an_id(number)) for number in numbers)),
        ),
    )


def waiting(number: int, place: int = 0) -> Build:
    """A build of workspace `number` in the queue; the higher the number, the later it joined."""
    return a_build(workspace=number, queue=Queue(place), requested_at=NOW + timedelta(seconds=number))


def running(number: int, **changed: Any) -> Build:  # noqa: ANN401 - any field
    """A build of workspace `number` that the limits let go."""
    return a_build(workspace=number, started_at=NOW, released_at=NOW, **changed)


def looking(*asked: int, per_owner: int = 0, per_template: int = 0, at_once: int = 10) -> Turns:
    """A look on behalf of these workspaces."""
    return Turns(tuple(an_id(number) for number in asked), per_owner, per_template, at_once)


def numbers(queued: list[Queued]) -> list[int]:
    """The workspaces found."""
    return [int(row.workspace_id[-12:], 16) for row in queued]


async def test_a_build_comes_back_with_its_place(store: Store) -> None:
    """And with the time it was let go."""
    await fill(store, waiting(100, 3), running(101))

    loaded = await store.read(Needs(workspaces=(an_id(100), an_id(101))))

    assert [build.queue for build in loaded.builds] == [Queue(3), None]
    assert [build.released_at for build in loaded.builds] == [None, NOW]
    assert await store.queue_length() == 1


async def test_a_row_tells_limits_running_builds_and_places(store: Store) -> None:
    """Each of both lines."""
    await fill(store, running(100), waiting(101), waiting(102), owners={101: OTHER_OWNER})

    queued = await store.queue(looking(102, per_owner=1, per_template=3))

    assert queued[-1] == Queued(
        workspace_id=an_id(102),
        build_id=waiting(102).id,
        owner_id=OWNER,
        template_id=TEMPLATE,
        per_owner=1,
        per_template=3,
        owner_running=1,
        template_running=1,
        owner_place=1,
        template_place=2,
    )
    assert numbers(queued) == [101, 102]


async def test_the_oldest_that_fit_are_found(store: Store) -> None:
    """So many as are wanted, and those asked for, whether they fit or not."""
    await fill(store, *map(waiting, range(100, 106)))

    assert numbers(await store.queue(looking(at_once=2))) == [100, 101]
    assert numbers(await store.queue(looking(104, at_once=2))) == [100, 101, 104]
    assert numbers(await store.queue(looking(104, at_once=0))) == [104]
    assert numbers(await store.queue(looking(999))) == list(range(100, 106))


@pytest.mark.parametrize("limits", [{"per_owner": 1}, {"per_template": 1}], ids=["owner", "template"])
async def test_a_full_line_lets_nobody_go(store: Store, limits: dict[str, int]) -> None:
    """Only running start builds of ours fill it: no stops, no ends, none of somebody else's."""
    await fill(
        store,
        running(100, completed_at=NOW),
        running(101, transition="stop"),
        running(102, foreign=True),
        waiting(103),
    )
    assert numbers(await store.queue(looking(**limits))) == [103]

    await put(store, Changes(builds=[running(100)]))

    assert numbers(await store.queue(looking(**limits))) == []


async def test_stored_limits_win(store: Store) -> None:
    """Over the process's, zero too."""
    await fill(store, running(100), waiting(101))
    assert numbers(await store.queue(looking(per_owner=1))) == []

    await store.put_settings({"builds_per_owner": "0", "builds_per_template": " 5 "})

    (row,) = await store.queue(looking(per_owner=1))
    assert (row.per_owner, row.per_template) == (0, 5)


@pytest.mark.parametrize("text", ["many", "", "-1", "9999999", "99999999999999999999"])
async def test_a_stored_limit_that_is_none_is_passed_over(store: Store, text: str) -> None:
    """As `settings_in_force` does; nobody is stopped by it."""
    await fill(store, waiting(101))
    await store.put_settings({"builds_per_owner": text})

    (row,) = await store.queue(looking(per_owner=4))
    assert row.per_owner == 4


async def test_a_batch_loads_what_the_look_finds(store: Store) -> None:
    """Workspaces, builds and chats, as if they had been named."""
    await fill(store, *map(waiting, (100, 101, 102)))

    async with store.batch(Needs(turns=looking(102, at_once=1))) as batch:
        loaded = batch.loaded

    assert numbers(loaded.queue) == [100, 102]
    assert [row.id for row in loaded.workspaces] == [an_id(100), an_id(102)]
    assert [row.workspace_id for row in loaded.chats] == [an_id(100), an_id(102)]


async def test_a_look_that_was_applied_before_loads_what_it_moved(store: Store) -> None:
    """Its effects are said again as far as they are still wanted, which only the rows tell."""
    await fill(store, running(100), running(101))
    chat = a_chat(1100, workspace=100)
    await put(store, Changes(transitions=[a_transition(chat, input_key="TIMERS/1/7", workspace_id=an_id(100))]))

    async with store.batch(Needs(keys=("TIMERS/1/7",), turns=looking())) as batch:
        loaded = batch.loaded

    assert [row.id for row in loaded.workspaces] == [an_id(100)]
    assert [row.id for row in loaded.chats] == [chat.id]


async def test_looks_follow_each_other(store: Store) -> None:
    """The second one sees what the first one let go, however both began."""
    await fill(store, *map(waiting, (100, 101)))
    turns = Needs(turns=looking(per_owner=1))

    async with store.batch(turns) as batch:
        assert numbers(batch.loaded.queue) == [100, 101]
        await batch.write(Changes(builds=[running(100)]))
    async with store.batch(turns) as batch:
        assert numbers(batch.loaded.queue) == []


async def test_a_look_waits_for_the_one_before(store: Store) -> None:
    """And counts what that one let go; else two engines would let go one too many."""
    await fill(store, *map(waiting, (100, 101)))
    turns = Needs(turns=looking(per_owner=1, at_once=1))
    entered: list[str] = []

    async def second() -> list[int]:
        async with store.batch(turns) as batch:
            entered.append("second")
            return numbers(batch.loaded.queue)

    async with store.batch(turns) as batch:
        following = asyncio.create_task(second())
        for _ in range(200):  # time enough to connect, and to enter where nothing holds it
            await store.queue_length()
            if entered:
                break
        entered.append("first")
        await batch.write(Changes(builds=[running(100)]))

    assert await following == []
    assert entered == ["first", "second"]


@pytest.mark.parametrize(
    "build",
    [
        a_build(queue=Queue(), started_at=NOW),
        a_build(queue=Queue(), canceled_at=NOW),
        a_build(queue=Queue(), completed_at=NOW),
        a_build(queue=Queue(), error="it failed"),
        a_build(queue=Queue(), transition="stop"),
    ],
    ids=["started", "canceled", "completed", "failed", "stop"],
)
async def test_only_pending_start_builds_may_wait(store: Store, build: Build) -> None:
    """The database says so too."""
    with pytest.raises(RefusedByStore):
        await fill(store, build)
