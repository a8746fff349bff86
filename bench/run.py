"""Runs every scenario on servers of its own and writes the results, the plots and the figures in the documents.

Each figure stands beside its rival or limit, measured in the same run on the same machine: only ratios are claimed.
With `QUICK=1` all of it is measured for a shorter time, into `build/bench`, and the documents stay as they are;
`ONLY=peer,history` runs some scenarios, into `build/bench` too.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import batch
import callout
import core
import cost
import growth
import history
import identity
import latency
import msgspec
import peer
import reach
import report
import throughput
import uvloop
import waiting
from figures import Figures, say
from fleet import Fleet, a_fleet
from sizes import Sizes, chosen, only, results_path
from stack import Stack, machine, running_stack

Scenario = Callable[[Stack, Fleet, Sizes], Awaitable[Figures]]

BUSY: Final[dict[str, Scenario]] = {
    "dial": reach.measure,  # first: while every chat is ready
    "latency": latency.measure,
    "throughput": throughput.measure,
    "batch": batch.measure,
    "engines": growth.engines,
    "identity": identity.measure,
    "cost": cost.measure,
    "sharing": growth.sharing,
}
"""On one pair of servers with a thousand ready chats."""
IDLE: Final[dict[str, Scenario]] = {
    "callout": callout.measure,
    "peer": peer.measure,
    "waiting": waiting.measure,
    "history": history.measure,  # of the chats that wait
}
"""On another pair, without chats at first."""


async def main() -> None:
    """All of it, in order."""
    sizes, named = chosen(), only()
    found: Figures = {"machine": machine(), **await core.measure(sizes)}
    began = time.monotonic()
    for scenarios, chats in ((BUSY, sizes.chats), (IDLE, 0)):
        wanted = {name: measure for name, measure in scenarios.items() if not named or name in named}
        if not wanted:
            continue
        async with running_stack() as stack:
            fleet = await a_fleet(stack, chats)
            for name, measure in wanted.items():
                started = time.monotonic()
                say(name)
                found.update(await measure(stack, fleet, sizes))
                say(f"  took {time.monotonic() - started:.0f} s")
    found |= peer.ratio(found)
    found["seconds"] = round(time.monotonic() - began)
    say(f"all of it took {found['seconds']} s")
    path = results_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    report.write(path)


if __name__ == "__main__":
    uvloop.run(main())
