"""The bare pipeline as a process of its own, as the engine is one: pull, commit the same rows, publish, acknowledge.

It decides nothing and reads no facts: what is left is what NATS and Postgres take at least. Reads its `Plan` from
stdin, says `up` when it works, and ends on SIGTERM.
"""

import asyncio
import signal
import sys
from contextlib import suppress

import asyncpg
import msgspec
from rows import Rows, Step, chats_of

from workspaced.app.run_loop import run_service
from workspaced.bus.connection import open_connection
from workspaced.bus.publish import Message, Publisher, with_id
from workspaced.bus.pull import Pull, ack
from workspaced.fsm.state import MACHINE_VERSION
from workspaced.store.pool import SESSION
from workspaced.store.queries import query
from workspaced.store.rowset import changes_arguments

STREAM, CONSUMER = "FLOOR_IN", "floor"


class Plan(msgspec.Struct):
    """Where it works and what it writes."""

    nats_url: str
    user: str
    password: str
    inbox_prefix: str
    dsn: str
    steps: list[Step]
    chats: list[str]
    facts: bool
    push_bytes: int


async def main() -> None:
    """Work until SIGTERM."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    client = await open_connection(
        plan.nats_url, user=plan.user, password=plan.password, inbox_prefix=plan.inbox_prefix
    )
    connection = await asyncpg.connect(plan.dsn, server_settings=dict(SESSION))
    rows = Rows(plan.steps, await chats_of(plan.dsn, plan.chats), facts=plan.facts)
    publisher, pull = Publisher(client), Pull(client, STREAM, CONSUMER)
    await publisher.start()
    await pull.start()
    statement = query("write")
    push = b" " * plan.push_bytes

    async def work() -> None:
        while True:
            batch = await pull.take()
            names = [stored.body.decode() for stored in batch]
            async with connection.transaction():
                await connection.fetchval(statement, *changes_arguments(rows.change(names), MACHINE_VERSION))
            await publisher.publish([Message("floor.out", name.encode() + push, with_id(name)) for name in names])
            await ack(client, batch)

    worker = asyncio.create_task(work())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.cancel)
    print("up", flush=True)
    with suppress(asyncio.CancelledError):
        await worker
    await connection.close()
    await client.close()


if __name__ == "__main__":
    run_service(main())
