"""The loop that is replaced: build, dial and lifecycle, each asked for every two seconds until it is there."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
from stack import Stack

EVERY_S = 2.0
PHASES = {
    "build": ("select 1 from workspaced.builds limit 1", "select 1 from workspaced.workspaces limit 1"),
    "connected": ("select 1 from workspaced.agents limit 1",),
    "lifecycle": ("select 1 from workspaced.agents limit 1",),
}
"""What it looks at in each phase; a build and its job are two rows. Rows by key, as cheap as can be."""

Truth = dict[str, float]
"""When each phase is over, in seconds."""


async def wait_until_ready(
    look: Callable[[str], Awaitable[object]],
    truth: Truth,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Poll as the tool call did; returns when the last phase was found to be over."""
    for phase, statements in PHASES.items():
        while True:
            for statement in statements:
                await look(statement)
            if clock() >= truth[phase]:
                break
            await sleep(EVERY_S)


@dataclass(frozen=True)
class Polled:
    """What a crowd of waiting chats came to."""

    took: list[float]
    """Seconds from ready to known."""
    statements_per_s: float
    """Of each chat that waits."""


async def crowd(stack: Stack, waiters: int, seconds: float) -> Polled:
    """So many chats that become ready at moments of their own within `seconds`."""
    pool = await asyncpg.create_pool(stack.dsn, min_size=1, max_size=8)
    took, statements, waited = [], 0, 0.0

    async def look(statement: str) -> None:
        nonlocal statements
        statements += 1
        await pool.fetchval(statement)

    async def wait() -> None:
        nonlocal waited
        began = time.perf_counter()
        ends = sorted(began + random.uniform(0, seconds) for _ in PHASES)  # noqa: S311 - phases, not secrets
        await asyncio.sleep(random.uniform(0, EVERY_S))  # noqa: S311 - as above
        first = time.perf_counter()
        truth = dict(zip(PHASES, ends, strict=True))
        await wait_until_ready(look, truth, time.perf_counter, asyncio.sleep)
        now = time.perf_counter()
        if truth["lifecycle"] > first:
            took.append(now - truth["lifecycle"])
        waited += now - first

    await asyncio.gather(*(wait() for _ in range(waiters)))
    await pool.close()
    return Polled(took, statements / waited)


async def statements(build_minutes: float, connect_s: float = 3, startup_s: float = 5) -> int:
    """How many statements one chat costs whose build takes so long, on a clock of its own."""
    now, count = 0.0, 0

    async def look(_statement: str) -> None:
        nonlocal count
        count += 1

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    built = build_minutes * 60
    truth = {"build": built, "connected": built + connect_s, "lifecycle": built + connect_s + startup_s}
    await wait_until_ready(look, truth, lambda: now, sleep)
    return count
