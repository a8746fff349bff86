"""DBOS Transact, a durable-execution library, on the same Postgres: steps per second, and how soon a wait is woken."""

import sys
from pathlib import Path

import asyncpg
import msgspec
from figures import Figures, Runs, Times, say
from fleet import Fleet
from peer_dbos import Found, Task
from sizes import Sizes
from stack import Stack, started

PROGRAM = Path(__file__).with_name("peer_dbos.py")
DATABASE = "dbos"


async def measure(stack: Stack, _fleet: Fleet, sizes: Sizes) -> Figures:
    """In a process of its own, as an application that uses it."""
    connection = await asyncpg.connect(stack.dsn)
    await connection.execute(f"create database {DATABASE}")
    await connection.close()
    task = Task(stack.servers.postgres.dsn_of(DATABASE), sizes.rounds, sizes.workflows, sizes.workflows // 4)
    process = await started([sys.executable, "-P", str(PROGRAM)], task)
    output, _ = await process.communicate()
    found = msgspec.json.decode(output.splitlines()[-1], type=Found)
    steps, woken = Runs.of(found.steps_per_s), Times.of_seconds(found.woken_s)
    say(f"  {steps} steps/s; woken after {woken}")
    return {"peer.dbos_steps": steps, "peer.dbos_woken": woken}


def ratio(found: Figures) -> Figures:
    """Our transitions beside its steps, where both were measured."""
    ours, theirs = found.get("throughput.engine"), found.get("peer.dbos_steps")
    if not isinstance(ours, Runs) or not isinstance(theirs, Runs):
        return {}
    return {"peer.ratio_dbos_steps": ours.middle / theirs.middle}
