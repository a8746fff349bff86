"""Events per second: the full engine, the bare pipeline under it, single transactions, and pgbench."""

import asyncio
import re
import tempfile
import time
from pathlib import Path

import asyncpg
from fleet import Member
from nats.aio.msg import Msg
from rows import a_change
from stack import Stack

from workspaced.app.embedded_postgres import PROGRAMS
from workspaced.bus import streams
from workspaced.bus.publish import Message, Publisher, with_id
from workspaced.bus.pull import Pull, ack
from workspaced.fsm.machine import Guards, Provisioning, Standing, advance
from workspaced.fsm.reach import Reach
from workspaced.fsm.state import State
from workspaced.store.queries import query
from workspaced.store.rowset import changes_arguments


async def engine(stack: Stack, members: list[Member], count: int, engines: int = 1) -> float:
    """Events/s through so many engines: each event one transition, announced; the backlog is there when they start."""
    await stack.stop_engines()
    for number in range(count):
        subject, body, _ = members[number % len(members)].flip()
        await stack.admin.publish(subject, body)
    await stack.admin.flush()
    seen, done, first = 0, asyncio.Event(), 0.0

    async def on_push(_message: Msg) -> None:
        nonlocal seen, first
        first = first or time.perf_counter()
        seen += 1
        if seen == count:
            done.set()

    subscription = await stack.admin.subscribe("ws.chat.>", cb=on_push, pending_msgs_limit=-1, pending_bytes_limit=-1)
    for _ in range(engines):
        await stack.start_engine()
    await asyncio.wait_for(done.wait(), 300)
    took = time.perf_counter() - first
    await subscription.unsubscribe()
    return count / took


async def pipeline(stack: Stack, count: int, chats: int) -> float:
    """Events/s of the bare pipeline: pull, commit the rows of as many transitions, publish, acknowledge."""
    client = stack.admin
    subjects = {"name": "FLOOR", "subjects": ["floor.in", "floor.out"], "storage": "file"}
    await streams.request(client, "STREAM.CREATE.FLOOR", subjects)
    consumer = {"name": "floor", "durable_name": "floor", "ack_policy": "explicit", "max_ack_pending": 10_000}
    await streams.request(
        client,
        "CONSUMER.CREATE.FLOOR.floor.floor.in",
        {"stream_name": "FLOOR", "config": consumer | {"filter_subject": "floor.in"}},
    )
    body = b"x" * 200
    for _ in range(count):
        await client.publish("floor.in", body)
    await client.flush()
    push = b"x" * 1300
    connection = await asyncpg.connect(stack.dsn)
    await connection.execute("truncate workspaced.transitions")
    statement = query("write")
    pull, publisher = Pull(client, "FLOOR", "floor"), Publisher(client)
    await publisher.start()
    began, done = time.perf_counter(), 0
    await pull.start()
    while done < count:
        batch = await pull.take()
        change = a_change(range(done, done + len(batch)), chats)
        async with connection.transaction():
            await connection.fetchval(statement, *changes_arguments(change, 1))
        await publisher.publish([Message("floor.out", push, with_id(stored.key)) for stored in batch])
        await ack(client, batch)
        done += len(batch)
    took = time.perf_counter() - began
    await pull.stop()
    await connection.close()
    await streams.request(client, "STREAM.DELETE.FLOOR")
    return count / took


async def naive(stack: Stack, count: int) -> float:
    """Events/s of one event, one transaction, one `send()` at a time."""
    connection = await asyncpg.connect(stack.dsn)
    statement = query("write")
    jetstream = stack.admin.jetstream()
    began = time.perf_counter()
    for number in range(10_000_000, 10_000_000 + count):
        machine = Provisioning(Standing(State.STARTING, Guards(Reach.READY)))
        machine.send("observe")
        async with connection.transaction():
            await connection.fetchval(statement, *changes_arguments(a_change([number]), 1))
        await jetstream.publish("ws.chat.bench.ready", b"x" * 1300)
    took = time.perf_counter() - began
    await connection.close()
    return count / took


async def pgbench(stack: Stack, seconds: int, clients: int = 16) -> float:
    """Transactions/s of pgbench writing an agent's, a chat's and a transition's row each."""
    script = Path(__file__).with_name("pgbench.sql")
    connection = await asyncpg.connect(stack.dsn)
    await connection.execute(Path(__file__).with_name("pgbench_schema.sql").read_text())
    await connection.close()
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            str(PROGRAMS / "pgbench"),
            *("-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", str(script), stack.dsn),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    found = re.search(r"tps = ([\d.]+)", output.decode())
    if found is None:
        raise RuntimeError(output.decode())
    return float(found[1])


def machine_ratio(count: int = 200_000) -> float:
    """How many times faster the cached `advance` is than python-statemachine's `send`."""
    guards = Guards(Reach.READY)
    advance(State.STARTING, "observe", guards)
    began = time.perf_counter()
    for _ in range(count):
        advance(State.STARTING, "observe", guards)
    cached = (time.perf_counter() - began) / count
    few = max(count // 200, 1)
    standing = Standing(State.STARTING, guards)
    machine = Provisioning(standing)
    began = time.perf_counter()
    for _ in range(few):
        standing.state = "starting"
        machine.send("observe")
    return (time.perf_counter() - began) / few / cached
