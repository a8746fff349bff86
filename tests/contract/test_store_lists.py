"""What a store lists: pages, history, deadlines, samples, and what it forgets."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.store_rows import (
    NOW,
    OWNER,
    TEMPLATE,
    VERSION,
    a_build,
    a_chat,
    a_stale_report,
    a_template,
    a_transition,
    a_workspace,
    an_agent,
    an_id,
    an_input,
    new,
    put,
    put_one,
)
from workspaced.fsm.effects import AskAgents, ChatDeadline, SetTimer, WorkspaceExpiry
from workspaced.fsm.facts import Facts
from workspaced.fsm.rows import Changes, Departure, Needs
from workspaced.fsm.state import State
from workspaced.store.port import SAMPLES, Store

CHAT, WORKSPACE = an_id(200), an_id(100)


@pytest.fixture
async def many(store: Store) -> Store:
    """Five chats in three workspaces of two templates, one of them deleted, and one workspace nobody uses."""
    await put_one(store)
    await store.put_template(a_template(id=an_id(30), name="other"), an_id(31))
    workspaces = [
        a_workspace(101, template_id=an_id(30), owner_id=an_id(50)),
        a_workspace(102, deleted=True),
        a_workspace(103),
    ]
    chats = [
        a_chat(201, workspace=101, owner_id=an_id(50)),
        a_chat(202, workspace=102),
        a_chat(203, workspace=None),
        a_chat(204, state=State.FAILED, build_id=a_build().id),
    ]
    await put(store, Changes(workspaces=workspaces, chats=new(*chats)))
    return store


async def test_chats_come_by_id_in_pages_with_their_facts(many: Store) -> None:
    """The last page has no next."""
    first, after = await many.chats(limit=2)
    second, end = await many.chats(limit=3, after=after)

    assert [chat.id for chat, _ in first] == [an_id(200), an_id(201)]
    assert after == an_id(201)
    assert first[0][1] == Facts(a_workspace(), a_build(), (an_agent(),))
    assert first[1][1] == Facts(a_workspace(101, template_id=an_id(30), owner_id=an_id(50)))
    assert [chat.id for chat, _ in second] == [an_id(202), an_id(203), an_id(204)]
    assert second[1][1] is None
    assert end is None


async def test_chats_are_filtered(many: Store) -> None:
    """Each filter alone, and two together."""

    async def numbers(**filters: object) -> list[int]:
        page, _ = await many.chats(**filters)  # type: ignore[arg-type]  # one dict for filters of several types
        return [int(chat.id[-4:], 16) for chat, _ in page]

    assert await numbers(state=State.FAILED) == [204]
    assert await numbers(owner_id=an_id(50)) == [201]
    assert await numbers(template_id=TEMPLATE) == [200, 202, 204]
    assert await numbers(unbound=True) == [202, 203]
    assert await numbers(owner_id=OWNER, state=State.BUILDING) == [200]
    assert await numbers(owner_id=an_id(51)) == []


async def test_live_workspaces_come_by_id_with_their_chats(many: Store) -> None:
    """Deleted ones are not listed."""
    first, after = await many.workspaces(limit=2)
    second, end = await many.workspaces(limit=2, after=after)

    assert [(row.workspace.id, chats) for row, chats in first] == [
        (WORKSPACE, (an_id(200), an_id(204))),
        (an_id(101), (an_id(201),)),
    ]
    assert first[0][0] == Facts(a_workspace(), a_build(), (an_agent(),))
    assert [(row.workspace.id, chats) for row, chats in second] == [(an_id(103), ())]
    assert end is None


async def test_workspaces_are_filtered(many: Store) -> None:
    """Each filter alone."""

    async def ids(**filters: object) -> list[str]:
        page, _ = await many.workspaces(**filters)  # type: ignore[arg-type]  # as above
        return [row.workspace.id for row, _ in page]

    assert await ids(owner_id=an_id(50)) == [an_id(101)]
    assert await ids(template_id=an_id(30)) == [an_id(101)]
    assert await ids(unbound=True) == [an_id(103)]


async def test_lists_are_filtered_by_organization(many: Store) -> None:
    """Whose chat or workspace it is never changes."""
    whose, nobodys = a_workspace().organization_id, an_id(77)
    chats = [len((await many.chats(organization_id=each))[0]) for each in (None, whose, nobodys)]
    workspaces = [len((await many.workspaces(organization_id=each))[0]) for each in (None, whose, nobodys)]

    assert (chats, workspaces) == ([5, 5, 0], [3, 3, 0])


async def test_a_build_is_its_workspaces_organizations(many: Store) -> None:
    """None for a build that nobody knows."""
    found = [await many.organization_of(build_id) for build_id in (a_build().id, an_id(77))]

    assert found == [a_workspace().organization_id, None]


async def test_history_comes_by_version_in_pages(store: Store) -> None:
    """Without what was published."""
    await put_one(store)
    rows = [
        a_transition(a_chat(version=n), f"EVENTS/1/{n}", snapshot=Raw(b"{}"), effects=(AskAgents(WORKSPACE),))
        for n in range(2, 6)
    ]
    await put(store, Changes(transitions=rows))

    first, after = await store.history(CHAT, after_version=1, limit=2)
    second, end = await store.history(CHAT, after_version=after or 0, limit=2)

    bare = [msgspec.structs.replace(row, snapshot=Raw(b"null"), effects=()) for row in rows]
    assert (first, after) == (bare[:2], 3)
    assert (second, end) == (bare[2:], None)
    assert await store.history(an_id(201)) == ([], None)


async def test_stale_reports_of_the_chats_workspace_end_with_the_latest(store: Store) -> None:
    """A limit drops the oldest."""
    await put_one(store)
    await put(
        store,
        Changes(
            workspaces=[a_workspace(101)],
            stale=[a_stale_report(3), a_stale_report(1), a_stale_report(2), a_stale_report(9, workspace=101)],
        ),
    )

    assert await store.stale_of(CHAT, 2) == [a_stale_report(2), a_stale_report(3)]
    assert await store.stale_of(an_id(201)) == []


async def test_timers_are_the_deadlines_of_chats_and_the_ttls_of_live_workspaces(store: Store) -> None:
    """Soonest first; with a time only those that are due."""
    await put_one(store)
    soon, late = NOW + timedelta(minutes=1), NOW + timedelta(hours=1)
    workspaces = [a_workspace(101, ttl_at=soon), a_workspace(102, ttl_at=soon, deleted=True)]
    chat = a_chat(201, state=State.STARTING, build_id=a_build().id, deadline_at=late, deadline_version=4)
    await put(store, Changes(workspaces=workspaces, chats=new(chat)))

    timers = [timer async for timer in store.timers()]
    due = [timer async for timer in store.timers(only_overdue_at=soon)]

    assert timers == [
        SetTimer(soon, WorkspaceExpiry(an_id(101), soon)),
        SetTimer(NOW + timedelta(minutes=10), ChatDeadline(CHAT, 1)),
        SetTimer(late, ChatDeadline(an_id(201), 4)),
    ]
    assert due == timers[:1]


async def test_unfinished_builds_are_those_whose_job_is_in_flight(store: Store) -> None:
    """Neither completed ones nor those that a limit ended."""
    await put_one(store)
    builds = [
        a_build(workspace=101, completed_at=NOW),
        a_build(workspace=102, error="hung"),
        a_build(workspace=103, canceled_at=NOW, started_at=NOW),
    ]
    await put(store, Changes(workspaces=[a_workspace(n) for n in (101, 102, 103)], builds=builds))

    assert [row async for row in store.unfinished_builds()] == [a_build(), builds[2]]


async def test_unfinished_builds_by_a_time_are_those_whose_limit_may_be_over(store: Store) -> None:
    """A job that was taken is measured from then, whenever it was requested."""
    await put_one(store)  # requested at NOW, not taken
    late = NOW + timedelta(seconds=1)
    builds = [
        a_build(workspace=101, requested_at=late),
        a_build(workspace=102, started_at=late),
        a_build(workspace=103, started_at=NOW + timedelta(seconds=2)),
    ]
    await put(store, Changes(workspaces=[a_workspace(n) for n in (101, 102, 103)], builds=builds))

    due = [row async for row in store.unfinished_builds(requested_by=NOW, started_by=late)]

    assert due == [a_build(), builds[1]]


async def test_connected_agents_are_those_of_latest_builds_with_a_live_link(store: Store) -> None:
    """Gone, disconnected and former ones are left out."""
    await put_one(store)
    linked: dict[str, Any] = {
        "server_id": "SERVER",
        "client_id": 1,
        "first_connected_at": NOW,
        "last_connected_at": NOW,
    }
    later = NOW + timedelta(seconds=1)
    agents = [
        an_agent(901, build=2, **linked),
        an_agent(902, build=2, **(linked | {"last_connected_at": later}), disconnected_at=NOW),
        an_agent(903, build=2, **linked, disconnected_at=NOW),
        an_agent(904, build=2, **linked, gone=True),
        an_agent(905, build=2),
        an_agent(900, build=1, **linked),
        an_agent(906, workspace=101, **linked),
    ]
    await put(
        store,
        Changes(
            workspaces=[a_workspace(101, deleted=True)],
            builds=[a_build(completed_at=NOW), a_build(2), a_build(workspace=101)],
            agents=agents,
        ),
    )

    assert [row async for row in store.connected_agents()] == agents[:2]


async def test_typical_samples_are_the_latest_passes_that_did_not_fail(store: Store) -> None:
    """Announcements have no duration and are left out."""
    await put_one(store)
    many = [
        a_transition(a_chat(201, version=n), f"a/{n}", from_state=State.STARTING, to_state=State.READY, took_ms=n)
        for n in range(1, SAMPLES + 11)
    ]
    others = [
        a_transition(a_chat(202, state=State.FAILED), "b/1", from_state=State.STARTING, took_ms=9),
        a_transition(a_chat(202, version=2), "b/2", from_state=State.STARTING, took_ms=None),
        a_transition(a_chat(202, version=3), "b/3", from_state=State.CREATING, to_state=State.BUILDING, took_ms=4),
    ]
    await put(store, Changes(transitions=many + others))

    assert await store.typical_samples() == [
        (TEMPLATE, State.CREATING, [4]),
        (TEMPLATE, State.STARTING, list(range(SAMPLES + 10, 10, -1))),
    ]


async def test_prune_forgets_what_is_old_but_no_chats_last_transition(store: Store) -> None:
    """What is forgotten counts as new should it come again."""
    await put_one(store)
    chat = a_chat(201, version=3)
    old = [a_transition(msgspec.structs.replace(chat, version=n), f"k/{n}", at=NOW) for n in (1, 2, 3)]
    later = NOW + timedelta(hours=1)
    await put(
        store,
        Changes(
            chats=new(chat),
            transitions=old,
            inputs=[an_input("k/4", request_id="call-2", at=later)],
            stale=[a_stale_report()],
            departures=[Departure("SERVER", 1, NOW), Departure("SERVER", 2, later)],
        ),
    )

    gone = await store.prune(NOW + timedelta(minutes=1))

    loaded = await store.read(Needs(keys=("EVENTS/1/1", "k/4"), connections=(("SERVER", 1), ("SERVER", 2))))
    assert gone == 2 + 1 + 1 + 1
    assert [row.version for row in (await store.history(chat.id))[0]] == [3]
    assert [row.chat_id for row in loaded.transitions] == [CHAT]
    assert [row.key for row in loaded.inputs] == ["k/4"]
    assert [row.client_id for row in loaded.departures] == [2]
    assert await store.stale_of(CHAT) == []


async def test_prune_notes_how_far_it_went(store: Store) -> None:
    """For whoever audits; a shorter prune later takes nothing back."""
    await store.prune(NOW)
    await store.prune(NOW - timedelta(days=1))

    assert datetime.fromisoformat((await store.marks())["pruned_before"]) == NOW


async def test_marks_are_kept_by_name(store: Store) -> None:
    """The last one counts."""
    await store.put_mark("nats", "1")
    await store.put_mark("nats", "2")
    await store.put_mark("other", "")

    assert await store.marks() == {"nats": "2", "other": ""}


async def test_an_open_store_answers(store: Store) -> None:
    """Nothing raised is the answer."""
    await store.ping()

    assert VERSION
