"""Events per second: the full engine, the bare pipeline under it, one at a time, and pgbench."""

import asyncio
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from figures import Figures, Runs, say
from fleet import Fleet
from floor import OUT, PUSH_BYTES, bare_events, bare_pipeline, bare_streams
from load import Event, counting
from nats.aio.client import Client
from pipeline import CONSUMER, STREAM
from rows import Rows, chats_of
from sizes import Sizes
from stack import Stack
from usage import cpu_s

from workspaced.app.embedded_postgres import PROGRAMS
from workspaced.bus import jetstream, streams
from workspaced.fsm.machine import Guards, Provisioning, Standing
from workspaced.fsm.reach import Reach
from workspaced.fsm.state import MACHINE_VERSION, State
from workspaced.store.queries import query
from workspaced.store.rowset import changes_arguments

FOLDER = Path(__file__).parent
CLIENTS = 16
LOOK_S = 0.02


async def measure(stack: Stack, fleet: Fleet, sizes: Sizes) -> Figures:
    """Each in turn, as often as there are rounds."""
    engine, pipeline, naive, transactions, at_once = [], [], [], [], []
    used: dict[str, list[float]] = {"engine": [], "postgres": [], "nats": []}
    for _ in range(sizes.rounds):
        engine.append(await through_engines(stack, fleet, sizes.events, used=used))
        pipeline.append(await through_pipeline(stack, fleet, 2 * sizes.events))
        async with bare_streams(stack):
            naive.append(await one_at_a_time(stack, fleet, sizes.events // 40))
        await clone_tables(stack)
        transactions.append(await pgbench(stack, "pgbench.sql", sizes))
        at_once.append(await pgbench(stack, "pgbench_one_statement.sql", sizes))
    found = {
        "throughput.engine": Runs.of(engine),
        "throughput.pipeline": Runs.of(pipeline),
        "throughput.naive": Runs.of(naive),
        "throughput.pgbench": Runs.of(transactions),
        "throughput.pgbench_one_statement": Runs.of(at_once),
    }
    for key, runs in found.items():
        say(f"  {key}: {runs}/s")
    ours = found["throughput.engine"].middle
    ratios = {
        "throughput.ratio_floor": ours / found["throughput.pipeline"].middle,
        "throughput.ratio_pgbench": ours / found["throughput.pgbench"].middle,
        "throughput.ratio_naive": ours / found["throughput.naive"].middle,
    }
    cpu = {f"throughput.cpu_us_{name}": Runs.of(values) for name, values in used.items()}
    for key, runs in cpu.items():
        say(f"  {key}: {runs}")
    return found | ratios | cpu


async def through_engines(
    stack: Stack,
    fleet: Fleet,
    count: int,
    *,
    engines: int = 1,
    used: dict[str, list[float]] | None = None,
    **kind: bool,
) -> float:
    """Events/s through so many engines, from the first push to the last acknowledgement; the backlog is there before.

    An engine acknowledges an event when its push is stored. Nobody else listens: a client would take part of
    the machine. Adds to `used` the processor time that each process took for an event, in µs. `kind` is what
    `Stack.start_engine` takes.
    """
    await stack.stop_engines()
    await put(stack.admin, fleet.flips(count))
    async with counting(stack.admin, "ws.chat.>", 1) as first:
        await asyncio.gather(*(stack.start_engine(**kind) for _ in range(engines)))
        pids = stack.pids()
        before = {name: cpu_s(pid) for name, pid in pids.items()}
    rate = count / (await drained_at(stack.admin, streams.EVENTS, streams.ENGINE) - first.first)
    for name, values in (used or {}).items():
        values.append((cpu_s(pids[name]) - before[name]) / count * 1e6)
    return rate


async def through_pipeline(stack: Stack, fleet: Fleet, count: int) -> float:
    """Events/s of the bare pipeline, in the same way; it writes no facts."""
    await stack.stop_engines()
    async with bare_streams(stack):
        await put(stack.admin, bare_events(count))
        async with counting(stack.admin, OUT, 1) as first, bare_pipeline(stack, fleet, facts=False):
            await first.complete.wait()
            return count / (await drained_at(stack.admin, STREAM, CONSUMER) - first.first)


async def drained_at(client: Client, stream: str, consumer: str) -> float:
    """When everything in a stream is acknowledged."""
    while True:
        info = await jetstream.request(client, f"CONSUMER.INFO.{stream}.{consumer}")
        if not info["num_pending"] and not info["num_ack_pending"]:
            return time.perf_counter()
        await asyncio.sleep(LOOK_S)


async def put(client: Client, events: Sequence[Event]) -> None:
    """Have them in their stream."""
    for subject, body, _ in events:
        await client.publish(subject, body)
    await client.flush()


async def one_at_a_time(stack: Stack, fleet: Fleet, count: int) -> float:
    """Events/s of one event, one transaction, one `send()`, one awaited publish at a time."""
    connection = await asyncpg.connect(stack.dsn)
    rows = Rows(fleet.steps, await chats_of(stack.dsn, [member.chat for member in fleet.spare]), facts=True)
    jetstream = stack.admin.jetstream()
    began = time.perf_counter()
    for number in range(count):
        machine = Provisioning(Standing(State.STARTING, Guards(Reach.READY)))
        machine.send("observe")
        change = rows.change([f"naive {began} {number}"])
        async with connection.transaction():
            await connection.fetchval(query("write"), *changes_arguments(change, MACHINE_VERSION))
        await jetstream.publish(OUT, b" " * PUSH_BYTES)
    took = time.perf_counter() - began
    await connection.close()
    return count / took


async def clone_tables(stack: Stack) -> None:
    """The tables that pgbench writes: copies of ours, with the same rows and keys."""
    connection = await asyncpg.connect(stack.dsn)
    await connection.execute((FOLDER / "pgbench_schema.sql").read_text())
    await connection.close()


async def pgbench(stack: Stack, script: str, sizes: Sizes) -> float:
    """Transactions/s of pgbench, each writing an agent's, a chat's and a transition's row."""
    arguments = ("-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(round(sizes.seconds)))
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            str(PROGRAMS / "pgbench"),
            *(*arguments, "-D", f"chats={2 * sizes.chats}", "-f", str(FOLDER / script), stack.dsn),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    found = re.search(r"tps = ([\d.]+)", output.decode())
    if found is None:
        raise RuntimeError(output.decode())
    return float(found[1])
