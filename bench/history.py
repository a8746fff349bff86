"""Whether get, list and history stay as fast when millions of transitions are kept."""

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from figures import Figures, Times, say
from fleet import Fleet
from sizes import Sizes
from stack import Stack

from workspaced.store.pool import SESSION
from workspaced.store.queries import query

FILL = Path(__file__).with_name("history.sql")
FEW_CHATS, EACH = 10, 100
"""A thousand transitions at first."""
PAGE = 50
INDEXES = """
select indexdef from pg_indexes
where schemaname = 'workspaced' and tablename = 'transitions' and indexname <> 'transitions_pkey'
"""


async def measure(stack: Stack, _fleet: Fleet, sizes: Sizes) -> Figures:
    """The three requests beside a thousand transitions, then beside all of them. Needs chats that wait."""
    connection = await asyncpg.connect(stack.dsn)
    bound = "select id from workspaced.chats where workspace_id is not null order by id"
    chats = [str(row["id"]) for row in await connection.fetch(bound)]
    few = await filled(connection, FEW_CHATS, EACH)
    before = await looks(stack, chats[:FEW_CHATS], sizes)
    kept = await filled(connection, len(chats), sizes.history // len(chats))
    after = await looks(stack, chats, sizes)
    plans = await plans_of(stack, chats[0])
    await connection.close()
    ratios = {verb: after[verb].p99.middle / before[verb].p99.middle for verb in before}
    for verb, times in after.items():
        say(f"  {verb}: {before[verb]} beside {few:,} transitions, {times} beside {kept:,}")
    say(f"  plans of history and load: {', '.join(sorted(plans))}")
    return {
        **{f"growth.{verb}_few": times for verb, times in before.items()},
        **{f"growth.{verb}_many": times for verb, times in after.items()},
        "growth.history_transitions": kept,
        "growth.history_plans": sorted(plans),
        "growth.history_10m_p99_over_1k": max(ratios.values()),
    }


async def filled(connection: "asyncpg.Connection[asyncpg.Record]", chats: int, each: int) -> int:
    """The table with so many transitions, and how many there are. Unlogged while it is filled: it is only read here."""
    indexes = [row["indexdef"] for row in await connection.fetch(INDEXES)]
    await connection.execute("set maintenance_work_mem = '1GB'; truncate workspaced.transitions")
    await connection.execute("alter table workspaced.transitions set unlogged, drop constraint transitions_pkey")
    for index in indexes:
        await connection.execute(f"drop index workspaced.{index.split()[2 + index.startswith('CREATE UNIQUE')]}")
    await connection.execute(FILL.read_text(), each, chats, timeout=600)
    await connection.execute("alter table workspaced.transitions add primary key (chat_id, version)", timeout=600)
    for index in indexes:
        await connection.execute(index, timeout=600)
    await connection.execute("vacuum analyze workspaced.transitions", timeout=600)
    count: int = await connection.fetchval("select count(*) from workspaced.transitions")
    return count


async def looks(stack: Stack, chats: Sequence[str], sizes: Sizes) -> dict[str, Times]:
    """Requests for chats at random, one kind after the other in each round."""
    took: dict[str, list[list[float]]] = {"get": [], "list": [], "history": []}
    pick = random.Random(1)  # noqa: S311 - the same chats in every run
    for _ in range(sizes.rounds):
        for verb, runs in took.items():
            runs.append([])
            for _ in range(sizes.looks):
                chat = pick.choice(chats)
                asked = {"after": chat, "limit": PAGE} if verb == "list" else {"chat_id": chat}
                body = json.dumps(asked).encode()
                began = time.perf_counter()
                reply = await stack.admin.request(f"ws.api.{verb}", body, timeout=30)
                runs[-1].append(time.perf_counter() - began)
                if reply.headers and "Nats-Service-Error" in reply.headers:
                    raise RuntimeError(reply.data)
    return {verb: Times.of_seconds(runs) for verb, runs in took.items()}


async def plans_of(stack: Stack, chat: str) -> set[str]:
    """How Postgres reads the transitions. Raises RuntimeError when it reads all of them."""
    connection = await asyncpg.connect(stack.dsn, server_settings=dict(SESSION))
    found: set[str] = set()
    for name, arguments in (("history", (chat, 0, PAGE)), ("load", ([], [chat], [], [], [], ["no such key"], [], []))):
        text = await connection.fetchval(f"explain (format json) {query(name)}", *arguments)
        found |= set(_scans(json.loads(text)[0]["Plan"]))
    await connection.close()
    if any(scan.startswith("Seq Scan") for scan in found):
        raise RuntimeError(f"no index: {found}")
    return found


def _scans(node: dict) -> list[str]:  # type: ignore[type-arg]  # JSON
    here = []
    if node.get("Relation Name") == "transitions":
        here.append(f"{node['Node Type']} {node.get('Index Name', '')}".strip())
    return here + [scan for child in node.get("Plans", ()) for scan in _scans(child)]
