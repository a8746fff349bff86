"""From a published event to the notification in the client's hands: ours, the floor, and the polling it replaces."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import asyncpg
import msgspec
from figures import Spread
from fleet import Member
from nats.aio.msg import Msg
from rows import a_change
from stack import Stack

from workspaced.bus import streams
from workspaced.bus.publish import Message, Publisher, with_id
from workspaced.bus.pull import Pull, ack
from workspaced.store.queries import query
from workspaced.store.rowset import changes_arguments


class _Cause(msgspec.Struct):
    id: str


class _Push(msgspec.Struct):
    cause: _Cause


@dataclass
class Arrivals:
    """When events were published and when their notification came, by id."""

    sent: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    last: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0

    def came(self, name: str) -> None:
        """The notification of `name` is here."""
        if (began := self.sent.pop(name, None)) is not None:
            self.took.append(time.perf_counter() - began)
            if len(self.took) == self.wanted:
                self.last.set()


async def ours(stack: Stack, members: list[Member], rate: int, seconds: float) -> Spread:
    """Latency through the whole engine at so many events per second, in ms."""
    arrivals = Arrivals(wanted=int(rate * seconds))
    decoder = msgspec.json.Decoder(_Push)

    async def on_push(message: Msg) -> None:
        arrivals.came(decoder.decode(message.data).cause.id)

    subscription = await stack.admin.subscribe("ws.chat.>", cb=on_push)

    async def publish(number: int) -> None:
        subject, body, name = members[number % len(members)].flip()
        arrivals.sent[name] = time.perf_counter()
        await stack.admin.publish(subject, body)

    await at_rate(publish, rate, arrivals.wanted)
    await asyncio.wait_for(arrivals.last.wait(), 60)
    await subscription.unsubscribe()
    return Spread.of_seconds(arrivals.took)


async def floor(stack: Stack, rate: int, seconds: float) -> Spread:
    """The least there can be: publish, consume, commit the same rows, publish, receive; no facts, nothing decided."""
    client, arrivals = stack.admin, Arrivals(wanted=int(rate * seconds))
    await streams.request(
        client, "STREAM.CREATE.FLOOR", {"name": "FLOOR", "subjects": ["floor.in", "floor.out"], "storage": "file"}
    )
    consumer = {"name": "floor", "durable_name": "floor", "ack_policy": "explicit", "filter_subject": "floor.in"}
    await streams.request(client, "CONSUMER.CREATE.FLOOR.floor.floor.in", {"stream_name": "FLOOR", "config": consumer})

    async def on_push(message: Msg) -> None:
        arrivals.came(message.data.decode())

    subscription = await client.subscribe("floor.out", cb=on_push)
    pull, publisher = Pull(client, "FLOOR", "floor"), Publisher(client)
    await publisher.start()
    await pull.start()
    connection = await asyncpg.connect(stack.dsn)
    statement = query("write")

    async def work() -> None:
        written = rate * 1_000_000  # rows of their own for each rate
        while True:
            batch = await pull.take()
            change = a_change(range(written, written + len(batch)))
            written += len(batch)
            async with connection.transaction():
                await connection.fetchval(statement, *changes_arguments(change, 1))
            await publisher.publish(
                [Message("floor.out", stored.body, with_id(stored.body.decode())) for stored in batch]
            )
            await ack(client, batch)

    worker = asyncio.create_task(work())

    async def publish(number: int) -> None:
        name = f"{rate}-{number}"
        arrivals.sent[name] = time.perf_counter()
        await client.publish("floor.in", name.encode())

    await at_rate(publish, rate, arrivals.wanted)
    await asyncio.wait_for(arrivals.last.wait(), 60)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await pull.stop()
    await connection.close()
    await subscription.unsubscribe()
    await streams.request(client, "STREAM.DELETE.FLOOR")
    return Spread.of_seconds(arrivals.took)


async def polling(stack: Stack, waiters: int, seconds: float, interval: float = 2.0) -> tuple[Spread, float]:
    """The loop this replaces: every waiter asks build, agent and lifecycle every two seconds. (ms, queries/s/waiter).

    A waiter's truth turns true at a random moment of its own; what is measured is how long it takes to notice.
    """
    pool = await asyncpg.create_pool(stack.dsn, min_size=1, max_size=8)
    took: list[float] = []
    queries = 0

    async def wait() -> None:
        nonlocal queries
        await asyncio.sleep(random.random() * interval)  # noqa: S311 - phases, not secrets
        true_at = time.perf_counter() + random.random() * (seconds - 2 * interval)  # noqa: S311 - as above
        while True:
            for table in ("builds", "agents", "chats"):
                await pool.fetchval(f"select count(*) from (select 1 from workspaced.{table} limit 1) as one")  # noqa: S608 - three constants
                queries += 1
            if (now := time.perf_counter()) >= true_at:
                took.append(now - true_at)
                return
            await asyncio.sleep(interval)

    began = time.perf_counter()
    await asyncio.gather(*(wait() for _ in range(waiters)))
    per_waiter = queries / waiters / (time.perf_counter() - began)
    await pool.close()
    return Spread.of_seconds(took), per_waiter


async def at_rate(publish: "asyncio._CoroutineLike", rate: int, count: int) -> None:  # type: ignore[name-defined]
    """Call `publish` with 0 … count - 1, so many a second, evenly."""
    began = time.perf_counter()
    for number in range(count):
        ahead = began + number / rate - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        await publish(number)
