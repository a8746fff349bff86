"""How long what a killed engine had in hand waits: of two engines one is killed, again and again, under a steady load.

`make failover`: prints each kill, and all of them together beside `ack_wait`, after which NATS delivers again what
nobody acknowledged.
"""

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
from figures import say
from fleet import Member, ready_chats
from latency import cause_of
from load import PATIENCE_S
from nats.aio.client import Client
from nats.aio.msg import Msg
from stack import Stack, machine, running_stack

from workspaced.bus.streams import ENGINE, EVENTS

SAMPLES = f"$JS.EVENT.METRIC.CONSUMER.ACK.{EVENTS}.{ENGINE}"
"""Where the server tells of each acknowledged input how often it was delivered (a consumer with `sample_freq` 100)."""
BEFORE_S = 3.0
"""Load on both engines before one is killed."""


class _Sample(msgspec.Struct):
    stream_seq: int
    deliveries: int


_decode = msgspec.json.Decoder(_Sample).decode


@dataclass
class Load:
    """Lifecycle reports at a steady rate, never two of one chat under way."""

    client: Client
    free: deque[Member]
    under_way: dict[str, tuple[Member, float]] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    """Seconds from publish to push, by the report's id."""
    again: list[int] = field(default_factory=list)
    """Inputs that were delivered more than once, by their place in EVENTS."""
    awaited: set[str] = field(default_factory=set)
    all_pushed: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Listen for pushes and for what the server says of acknowledgements."""
        unbounded = {"pending_msgs_limit": -1, "pending_bytes_limit": -1}
        await self.client.subscribe("ws.chat.>", cb=self._pushed, **unbounded)
        await self.client.subscribe(SAMPLES, cb=self._acknowledged, **unbounded)
        await self.client.flush()

    async def run(self, rate: float) -> None:
        """Publish until canceled."""
        began, number = time.perf_counter(), 0
        while True:
            number += 1
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            if self.free:
                member = self.free.popleft()
                subject, body, name = member.flip()
                self.under_way[name] = member, time.perf_counter()
                await self.client.publish(subject, body)

    async def until_pushed(self) -> frozenset[str]:
        """Wait for the pushes of all that is under way now; what that was."""
        before = frozenset(self.under_way)
        self.awaited = set(before)
        if before:
            self.all_pushed.clear()
            await asyncio.wait_for(self.all_pushed.wait(), PATIENCE_S)
        return before

    async def _pushed(self, message: Msg) -> None:
        name = cause_of(message)
        if (sent := self.under_way.pop(name, None)) is not None:
            member, began = sent
            self.took[name] = time.perf_counter() - began
            self.free.append(member)
            self.awaited.discard(name)
            if not self.awaited:
                self.all_pushed.set()

    async def _acknowledged(self, message: Msg) -> None:
        sample = _decode(message.data)
        if sample.deliveries > 1:
            self.again.append(sample.stream_seq)


async def kill_one(stack: Stack, load: Load) -> set[str]:
    """SIGKILL the older engine, wait until nothing of before is left, start another; what it had in hand."""
    await asyncio.sleep(BEFORE_S)
    victim = stack.engines.pop(0)
    load.again.clear()
    victim.kill()
    await victim.wait()
    before = await load.until_pushed()
    await asyncio.sleep(1)  # the last ones are acknowledged after they are pushed
    again = {await _name(stack.admin, sequence) for sequence in load.again}
    await stack.start_engine()
    return set(before & again)


async def _name(client: Client, sequence: int) -> str:
    """The id of a stored report."""
    kept = await client.jetstream().get_msg(EVENTS, sequence)
    name: str = json.loads(kept.data or b"{}").get("id", "")
    return name


async def let_it_tell(client: Client, ack_wait: timedelta) -> None:
    """Have the engines' consumer wait so long for a dead one, and sample every acknowledgement."""
    stream_api = client.jetstream()
    config = (await stream_api.consumer_info(EVENTS, ENGINE)).config
    await stream_api.add_consumer(EVENTS, config.evolve(ack_wait=ack_wait.total_seconds(), sample_freq="100"))


def told(seconds: Sequence[float]) -> str:
    """Percentiles in one line."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    p50, p99 = (ordered[round((len(ordered) - 1) * share)] for share in (0.5, 0.99))
    return f"{len(ordered)} reports, p50 {p50:.3f} s, p99 {p99:.3f} s, longest {ordered[-1]:.3f} s"


async def failover(kills: int, rate: float, chats: int, ack_wait: timedelta) -> None:
    """The whole measurement."""
    say(f"{machine()}")
    async with running_stack(engines=2) as stack:
        await let_it_tell(stack.admin, ack_wait)
        load = Load(stack.admin, deque(await ready_chats(stack, chats)))
        await load.begin()
        running = asyncio.create_task(load.run(rate))
        in_hand: set[str] = set()
        for number in range(1, kills + 1):
            held = await kill_one(stack, load)
            in_hand |= held
            say(f"kill {number}: in hand {told([load.took[name] for name in held])}")
        running.cancel()
        await load.until_pushed()
        say(f"{rate:.0f} reports/s over {chats} chats, {kills} kills, ack_wait {ack_wait.total_seconds():g} s")
        say(f"in hand of a killed engine: {told([load.took[name] for name in in_hand])}")
        say(f"others: {told([took for name, took in load.took.items() if name not in in_hand])}")
        say(f"all: {told(list(load.took.values()))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--chats", type=int, default=400)
    parser.add_argument("--ack-wait", type=float, default=30, help="seconds")
    chosen = parser.parse_args()
    asyncio.run(failover(chosen.kills, chosen.rate, chosen.chats, timedelta(seconds=chosen.ack_wait)))
