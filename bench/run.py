"""Runs every measurement on its own servers and writes `bench/results.json`; `QUICK=1` measures for a shorter time.

Each figure stands beside its rival or limit, measured in the same run on the same machine: only ratios are claimed.
"""

import os
from pathlib import Path
from statistics import median

import latency
import msgspec
import reach
import throughput
import uvloop
from figures import Spread
from fleet import Member, ready_chats
from stack import Stack, machine, running_stack

RESULTS = Path(__file__).with_name("results.json")
QUICK = bool(os.environ.get("QUICK"))
SECONDS = 3.0 if QUICK else 10.0
RUNS = 1 if QUICK else 3
EVENTS = 10_000 if QUICK else 30_000
CHATS = 1_000

Results = dict[str, object]


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)


async def measure_latency(stack: Stack, members: list[Member]) -> Results:
    """Ours at three rates, the floor, and the loop that polls."""
    found: Results = {}
    ours: dict[int, Spread] = {}
    floors: dict[int, Spread] = {}
    for rate in (200, 1000, 5000):
        ours[rate] = await latency.ours(stack, members, rate, SECONDS)
        say(f"latency, {rate} events/s: {ours[rate]}")
        if rate <= 1000:  # noqa: PLR2004 - the rates that have a target
            floors[rate] = await latency.floor(stack, rate, SECONDS)
            say(f"  the floor there: {floors[rate]}")
    polled, queries = await latency.polling(stack, 100, 12 if QUICK else 30)
    say(f"  polling every 2 s: {polled}, {queries:.2f} queries/s for each that waits")
    found |= {f"latency.ours_{rate}": spread for rate, spread in ours.items()}
    found |= {f"latency.floor_{rate}": spread for rate, spread in floors.items()}
    found["latency.polling"] = polled
    found["latency.p50_ratio_polling"] = polled.p50 / ours[200].p50
    found["latency.p99_ratio_polling"] = polled.p99 / ours[200].p99
    found["latency.p50_over_floor"] = ours[200].p50 / floors[200].p50
    found["latency.p99_over_floor"] = ours[1000].p99 / floors[1000].p99
    return found


async def measure_reach(stack: Stack, members: list[Member]) -> Results:
    """A dial beside a bare request, and asking for a workspace that is ready."""
    dialed, bare, asked = await reach.dial(stack, members[0], 500 if QUICK else 2000)
    again = await reach.create_again(stack, members[1], 300 if QUICK else 1000)
    say(f"dial: {dialed}, {asked} requests to the engine\n  a bare request: {bare}")
    say(f"create, of a workspace that is ready: {again}")
    return {
        "dial.dialed": dialed,
        "dial.bare": bare,
        "dial.p50_over_bare": dialed.p50 / bare.p50,
        "dial.engine_requests": asked,
        "create.ready": again,
        "create.ready_p99_ms": again.p99,
    }


async def measure_throughput(stack: Stack, members: list[Member]) -> Results:
    """The full engine beside the bare pipeline, single transactions and pgbench."""
    engine, pipeline, naive = [], [], []
    for _ in range(RUNS):
        engine.append(await throughput.engine(stack, members, EVENTS))
        pipeline.append(await throughput.pipeline(stack, EVENTS, CHATS))
        naive.append(await throughput.naive(stack, EVENTS // 30))
    transactions = await throughput.pgbench(stack, int(SECONDS))
    say(f"throughput, events/s: engine {shown(engine)}, bare pipeline {shown(pipeline)}, one at a time {shown(naive)}")
    say(f"  pgbench, 16 clients, the same rows: {transactions:,.0f} transactions/s")
    return {
        "throughput.engine": engine,
        "throughput.pipeline": pipeline,
        "throughput.naive": naive,
        "throughput.pgbench": transactions,
        "throughput.ratio_floor": median(engine) / median(pipeline),
        "throughput.ratio_pgbench": median(engine) / transactions,
        "throughput.ratio_naive": median(engine) / median(naive),
    }


def shown(runs: list[float]) -> str:
    """The median run and the spread."""
    return f"{median(runs):,.0f} ({min(runs):,.0f} to {max(runs):,.0f})"


async def main() -> None:
    """All of it."""
    results: Results = {"machine": machine(), "quick": QUICK}
    results["machine.ratio_send"] = throughput.machine_ratio()
    say(f"machine: the cached table is {results['machine.ratio_send']:,.0f} times faster than send()")
    async with running_stack() as stack:
        members = await ready_chats(stack, CHATS)
        say(f"{CHATS} chats are ready")
        results |= await measure_reach(stack, members)  # while all of them are ready
        results |= await measure_latency(stack, members)
        results |= await measure_throughput(stack, members)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    say(f"written: {RESULTS.name}")


if __name__ == "__main__":
    uvloop.run(main())
