"""Query plans with some thousands of rows: every lookup reaches its index."""

import re
from collections.abc import AsyncIterator

import pytest

from tests.store_rows import VERSION, a_template, an_id, postgres_store
from workspaced.fsm.rows import Changes
from workspaced.fsm.state import MACHINE_VERSION
from workspaced.store.postgres import PostgresStore
from workspaced.store.queries import query
from workspaced.store.rowset import changes_arguments

ROWS = 5_000

# Rows made by the server: the same shapes as the structs', much faster than through them.
FILL_WORKSPACES = """
insert into workspaced.workspaces (id, name, owner_id, owner_name, organization_id, template_id, created_at)
select md5('w' || n)::uuid, 'ws-' || n, md5('o' || n % 50)::uuid, 'bob', md5('x')::uuid, $2, now()
from generate_series(1, $1::integer) as n
"""
FILL_BUILDS = """
insert into workspaced.builds
    (id, workspace_id, build_number, transition, job_id, requested_at, provisioner, reported, completed_at)
select md5('b' || n || '.' || k)::uuid, md5('w' || n)::uuid, k, 'start', md5('j' || n)::uuid, now(), 'local',
    'succeeded', now()
from generate_series(1, $1::integer) as n, generate_series(1, 2) as k
"""
FILL_AGENTS = """
insert into workspaced.agents (id, workspace_id, build_id, created_at, lifecycle, server_id, client_id)
select md5('a' || n)::uuid, md5('w' || n)::uuid, md5('b' || n || '.2')::uuid, now(), 'ready', 'SERVER', n
from generate_series(1, $1::integer) as n
"""
FILL_CHATS = """
insert into workspaced.chats
    (id, owner_id, owner_name, organization_id, version, state, entered_at, workspace_id, build_id, deadline_at,
     machine_version)
select md5('c' || n)::uuid, md5('o' || n % 50)::uuid, 'bob', md5('x')::uuid, 1,
    case when n % 100 = 0 then 'building' else 'idle' end, now(), md5('w' || n)::uuid, null,
    case when n % 100 = 0 then now() + n * interval '1 second' end, 1
from generate_series(1, $1::integer) as n
"""
FILL_TRANSITIONS = """
insert into workspaced.transitions
    (chat_id, version, from_state, to_state, cause, at, input_id, input_key, template_id, took_ms, effects,
     machine_version)
select md5('c' || n % 500)::uuid, 1 + n / 500, 'starting', 'ready', '{}', now() + n * interval '1 second', 'i',
    'EVENTS/1/' || n, $2, n, '[]', 1
from generate_series(1, $1::integer) as n
"""
FILL_INPUTS = """
insert into workspaced.inputs (key, at, chat_id, request_id, effects)
select 'EVENTS/1/' || n, now(), md5('c' || n)::uuid, 'call-1', '[]' from generate_series(1, $1::integer) as n
"""
FILL_STALE = """
insert into workspaced.stale
select md5('w' || n % 500)::uuid, now(), 'i', 'EVENTS/1/' || n, 's', 'r' from generate_series(1, $1::integer) as n
"""


@pytest.fixture
async def filled(database: str) -> AsyncIterator[PostgresStore]:
    """A store with thousands of rows in every table that grows, and its statistics up to date."""
    async with postgres_store(database, pool_size=1) as store:
        template = await store.put_template(a_template(), VERSION)
        await store.pool.execute(FILL_WORKSPACES, ROWS, template.id)
        for statement in (FILL_BUILDS, FILL_AGENTS, FILL_CHATS, FILL_INPUTS, FILL_STALE):
            await store.pool.execute(statement, ROWS)
        await store.pool.execute(FILL_TRANSITIONS, ROWS, template.id)
        await store.pool.execute("analyze")
        yield store


async def explain(store: PostgresStore, name: str, *arguments: object, freely: bool = False) -> str:
    """The plan of a query as the store runs it."""
    async with store.pool.acquire() as connection, connection.transaction():
        if freely:
            await connection.fetch(query("plan_freely"))
        text = query(name)
        rows = await connection.fetch(f"explain (costs off) {text}", *arguments)
    return "\n".join(row[0] for row in rows)


def scans(plan: str) -> set[str]:
    """The tables that a plan reads whole."""
    return set(re.findall(r"Seq Scan on (\w+)", plan))


SMALL = {"settings", "templates", "template_versions", "departures", "marks"}


@pytest.mark.parametrize("name", ["lock", "load"])
async def test_a_batch_reads_no_growing_table_whole(filled: PostgresStore, name: str) -> None:
    """Whatever it is asked for."""
    arguments: list[object] = [[an_id(1)], [an_id(2)], ["SERVER"], [7], [an_id(3)]]
    if name == "load":
        arguments += [["EVENTS/1/7"], [an_id(2)], ["call-1"]]

    plan = await explain(filled, name, *arguments)

    assert scans(plan) <= SMALL
    assert "chats_workspace" in plan
    assert "agents_connection" in plan
    assert "chats_pkey" in plan
    if name == "load":
        for index in ("inputs_pkey", "inputs_request", "transitions_input", "agents_build", "builds_workspace_id"):
            assert index in plan


async def test_a_write_finds_chats_by_their_key(filled: PostgresStore) -> None:
    """The guard is no reason to read all chats."""
    plan = await explain(filled, "write", *changes_arguments(Changes(), MACHINE_VERSION))

    assert "Index Scan using chats_pkey" in plan
    assert scans(plan) == set()


async def test_plans_made_while_tables_are_empty_reach_the_indexes_too(database: str) -> None:
    """They stay in use until the next ANALYZE, when the tables may be large."""
    async with postgres_store(database, pool_size=1) as store:
        await store.pool.execute("analyze")
        plan = await explain(
            store, "load", [an_id(1)], [an_id(2)], ["SERVER"], [7], [an_id(3)], ["k"], [an_id(2)], ["call-1"]
        )

    assert scans(plan) <= SMALL
    assert "Hash Join" not in plan
    for index in ("workspaces_pkey", "chats_pkey", "inputs_pkey", "transitions_input", "agents_build"):
        assert index in plan
    for whole in ("transitions_pkey", "agents_pkey"):
        assert whole not in plan, "read from end to end, in order"


async def test_history_is_a_range_of_the_primary_key(filled: PostgresStore) -> None:
    """Also in the middle of a long one."""
    plan = await explain(filled, "history", an_id(2), 5, 101)

    assert re.search(r"Index Scan using transitions_pkey", plan)
    assert "Sort" not in plan


@pytest.mark.parametrize(
    ("arguments", "index"),
    [
        ((None, None, None, None, False, None, 51), "chats_pkey"),
        ((None, None, None, None, False, an_id(2), 51), "chats_pkey"),
        (("building", None, None, None, False, an_id(2), 51), "chats_state"),
        ((None, an_id(2), None, None, False, None, 51), "chats_owner"),
        ((None, None, None, an_id(2), False, None, 51), "chats_organization"),
    ],
    ids=["all", "after", "state", "owner", "organization"],
)
async def test_chats_are_listed_by_an_index(filled: PostgresStore, arguments: tuple[object, ...], index: str) -> None:
    """In the order of the page, so that nothing beyond it is read."""
    plan = await explain(filled, "chats", *arguments, freely=True)

    assert re.search(rf"using {index} on chats", plan)
    assert "Seq Scan on chats" not in plan


@pytest.mark.parametrize(
    ("arguments", "index"),
    [
        ((None, None, None, False, an_id(2), 51), "workspaces_pkey"),
        ((an_id(2), None, None, False, None, 51), "workspaces_owner"),
        ((None, None, an_id(2), False, None, 51), "workspaces_organization"),
    ],
    ids=["after", "owner", "organization"],
)
async def test_workspaces_are_listed_by_an_index(
    filled: PostgresStore, arguments: tuple[object, ...], index: str
) -> None:
    """As chats are."""
    plan = await explain(filled, "workspaces", *arguments, freely=True)

    assert index in plan
    assert "Seq Scan on workspaces" not in plan


async def test_overdue_deadlines_are_a_range_of_an_index(filled: PostgresStore) -> None:
    """However many chats wait."""
    plan = await explain(filled, "timers", await filled.pool.fetchval("select now()"), freely=True)

    assert "chats_deadline" in plan
    assert "workspaces_ttl" in plan


async def test_samples_read_a_bounded_part_of_an_index(filled: PostgresStore) -> None:
    """Two hundred entries for each template and state, and no row of history itself."""
    plan = await explain(filled, "typical_samples", ["starting"], 200)

    assert "Index Only Scan using transitions_typical" in plan
    assert "Sort Key: transitions" not in plan


async def test_stale_reports_are_found_by_workspace(filled: PostgresStore) -> None:
    """The end of an index."""
    plan = await explain(filled, "stale_of", an_id(2), 100)

    assert re.search(r"stale_at|stale_pkey", plan)
    assert "Seq Scan on stale" not in plan


async def test_taken_names_are_looked_up(filled: PostgresStore) -> None:
    """By the index that makes them unique."""
    assert "workspaces_name" in await explain(filled, "taken_names", [an_id(2)], ["ws-1"])
