"""What the auth callout adds to an agent's connect, beside a standing user, and how soon it has an agent out."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

import revocation
from agents import come_in, first_in, invited, running_callout
from figures import Figures, Runs, Times, say
from fleet import Fleet
from nats.aio.client import Client
from sizes import Sizes
from stack import Stack

RATE = 100
"""Connects a second, of either kind."""


async def measure(stack: Stack, _fleet: Fleet, sizes: Sizes) -> Figures:
    """Both kinds in turn, each connection closed at once; an engine hears of those that went, as ever."""
    each = int(RATE * sizes.seconds)
    agents = await invited(stack, each * sizes.rounds)
    role = stack.servers.nats.roles["chatd"]

    async def standing(_: int) -> Client:
        client = Client()
        await client.connect(stack.servers.nats.url, user=role.user, password=role.password, allow_reconnect=False)
        return client

    async def agent(number: int) -> Client:
        return await come_in(stack, agents[number])

    before, after = [], []
    gc.freeze()  # what the benchmark has loaded: looking through it takes 25 ms, in which three connects would wait
    async with running_callout(stack):
        await (await first_in(stack, agents[0])).close()
        for first in range(0, len(agents), each):
            before.append(await paced(range(each), standing))
            after.append(await paced(range(first, first + each), agent))
        out = await revocation.measure(stack, sizes)
    (usual, ours), added = map(Times.of_seconds, (before, after)), _added(before, after)
    say(f"  a standing user: {usual}; an agent: {ours}; the callout adds {added}")
    return {
        "security.standing": usual,
        "security.agent": ours,
        "security.callout_added": added,
        "security.callout_added_p99_ms": added.p99.middle,
        **out,
    }


async def paced(numbers: range, connect: Callable[[int], Awaitable[Client]]) -> list[float]:
    """Seconds of each connect, begun at an even rate; each is closed at once."""
    took: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        client = await connect(number)
        took.append(time.perf_counter() - began)
        await client.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for slot, number in enumerate(numbers):
            await asyncio.sleep(max(0.0, began + slot / RATE - time.perf_counter()))
            group.create_task(one(number))
    return took


def _added(before: list[list[float]], after: list[list[float]]) -> Times:
    """How much later the percentiles of each round are than those of the round before it."""
    rounds = [tuple(Times.of_seconds([run]) for run in pair) for pair in zip(before, after, strict=True)]
    middles = [ours.p50.middle - usual.p50.middle for usual, ours in rounds]
    tails = [ours.p99.middle - usual.p99.middle for usual, ours in rounds]
    return Times(Runs.of(middles), Runs.of(tails), len(before[0]))
