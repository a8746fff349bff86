"""More engines on the same two streams, and more chats on one workspace."""

import asyncio
import statistics
import time

import asyncpg
from figures import Figures, Runs, number, say
from fleet import Fleet, ready_chats
from load import counting
from sizes import Sizes
from stack import Stack
from throughput import put

from workspaced.bus import streams, subjects

ENGINES = (1, 2, 4)
FLIPS = 6
LOOK_S = 0.02

CLONE = """
insert into workspaced.chats
select (json_populate_record(c, json_build_object('id', gen_random_uuid()))).*
from workspaced.chats as c cross join generate_series(1, $2::integer)
where c.id = $1
"""


async def engines(stack: Stack, fleet: Fleet, sizes: Sizes) -> Figures:
    """Events/s through 1, 2 and 4 engines on the same machine.

    Several engines may overtake each other: then a newer report makes an older one stale, and that brings no push. So
    the end is when the last event is acknowledged.
    """
    found: Figures = {}
    for count in ENGINES:
        runs = [await until_drained(stack, fleet, sizes.events, count) for _ in range(sizes.rounds)]
        found[f"growth.engines_{count}"] = Runs.of(runs)
        say(f"  {count} engines: {found[f'growth.engines_{count}']} events/s")
    await stack.stop_engines()
    await stack.start_engine()
    return found


async def until_drained(stack: Stack, fleet: Fleet, count: int, engines_: int) -> float:
    """Events/s from the first push to the last acknowledgement; the backlog is there when the engines start."""
    await stack.stop_engines()
    await put(stack.admin, fleet.flips(count))
    async with counting(stack.admin, "ws.chat.>", 1) as counted:
        await asyncio.gather(*(stack.start_engine() for _ in range(engines_)))
    while True:
        info = await streams.request(stack.admin, f"CONSUMER.INFO.{subjects.EVENTS}.{subjects.ENGINE}")
        if not info["num_pending"] and not info["num_ack_pending"]:
            return count / (time.perf_counter() - counted.first)
        await asyncio.sleep(LOOK_S)


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
