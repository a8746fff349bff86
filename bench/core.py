"""The machine's cached answer beside python-statemachine's own."""

import time

from figures import Figures, Runs, say
from sizes import Sizes

from workspaced.fsm.machine import Guards, Provisioning, Standing, advance
from workspaced.fsm.reach import Reach
from workspaced.fsm.state import State

CACHED, SENT = 100_000, 500


async def measure(sizes: Sizes) -> Figures:
    """How many times faster `advance` is than `send`."""
    guards = Guards(Reach.READY)
    standing = Standing(State.STARTING, guards)
    machine = Provisioning(standing)
    advance(State.STARTING, "observe", guards)
    cached, sent = [], []
    for _ in range(sizes.rounds):
        began = time.perf_counter()
        for _ in range(CACHED):
            advance(State.STARTING, "observe", guards)
        cached.append((time.perf_counter() - began) / CACHED * 1e6)
        began = time.perf_counter()
        for _ in range(SENT):
            standing.state = "starting"
            machine.send("observe")
        sent.append((time.perf_counter() - began) / SENT * 1e6)
    found = {"machine.advance_us": Runs.of(cached), "machine.send_us": Runs.of(sent)}
    ratio = found["machine.send_us"].middle / found["machine.advance_us"].middle
    say(f"  advance {found['machine.advance_us']} µs, send {found['machine.send_us']} µs")
    return found | {"machine.ratio_send": ratio}
