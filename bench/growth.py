"""More engines on the same two streams, and more chats on one workspace."""

import statistics
import time

import asyncpg
from figures import Figures, Runs, number, say
from fleet import Fleet, ready_chats
from load import counting
from sizes import Sizes
from stack import Stack
from throughput import through_engines

ENGINES = (1, 2, 4)
FLIPS = 6

CLONE = """
insert into workspaced.chats
select (json_populate_record(c, json_build_object('id', gen_random_uuid()))).*
from workspaced.chats as c cross join generate_series(1, $2::integer)
where c.id = $1
"""


async def engines(stack: Stack, fleet: Fleet, sizes: Sizes) -> Figures:
    """Events/s through 1, 2 and 4 engines on the same machine.

    Several engines may overtake each other: then a newer report makes an older one stale, which is not announced.
    """
    found: Figures = {}
    for count in ENGINES:
        runs = [await through_engines(stack, fleet, sizes.events, engines=count) for _ in range(sizes.rounds)]
        found[f"growth.engines_{count}"] = Runs.of(runs)
        say(f"  {count} engines: {found[f'growth.engines_{count}']} events/s")
    await stack.stop_engines()
    await stack.start_engine()
    return found


async def sharing(stack: Stack, _fleet: Fleet, sizes: Sizes) -> Figures:
    """One report of an agent moves every chat of its workspace; ms until the last of them is announced."""
    (member,) = await ready_chats(stack, 1)
    connection = await asyncpg.connect(stack.dsn)
    found: Figures = {}
    there = 1
    for chats in sizes.sharing:
        await connection.execute(CLONE, member.chat, chats - there)
        there = chats
        took = []
        for _ in range(FLIPS):
            subject, body, _name = member.flip()
            async with counting(stack.admin, "ws.chat.>", chats) as counted:
                began = time.perf_counter()
                await stack.admin.publish(subject, body)
            took.append((counted.last - began) * 1000)
        found[f"growth.sharing_{chats}_ms"] = Runs.of(took)
        per_second = chats / statistics.median(took) * 1000
        say(f"  {chats} chats on one workspace: {Runs.of(took)} ms, {number(per_second)} transitions/s")
        found[f"growth.sharing_{chats}_per_s"] = per_second
    await connection.close()
    return found
