"""Events published at a rate, and when their notifications came."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg

PATIENCE_S = 120
"""A safety net: nothing here takes that long."""

Event = tuple[str, bytes, str]
"""Subject, body, id."""


@dataclass
class Arrivals:
    """When events were published and how long their notifications took, in seconds, by id."""

    wanted: int
    name_of: Callable[[Msg], str]
    """The event that a notification tells of."""
    sent: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def came(self, message: Msg) -> None:
        """A notification is here."""
        if (began := self.sent.pop(self.name_of(message), None)) is not None:
            self.took.append(time.perf_counter() - began)
            if len(self.took) == self.wanted:
                self.complete.set()


async def latencies(
    client: Client, events: Sequence[Event], rate: int, listen: str, name_of: Callable[[Msg], str]
) -> list[float]:
    """Publish `events`, so many a second, evenly; seconds from each to its notification on `listen`."""
    arrivals = Arrivals(len(events), name_of)
    subscription = await client.subscribe(listen, cb=arrivals.came, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await client.flush()
    began = time.perf_counter()
    for number, (subject, body, name) in enumerate(events):
        ahead = began + number / rate - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        arrivals.sent[name] = time.perf_counter()
        await client.publish(subject, body)
    await asyncio.wait_for(arrivals.complete.wait(), PATIENCE_S)
    await subscription.unsubscribe()
    return arrivals.took


@dataclass
class Count:
    """Counts notifications and knows the time of the first and of the last one wanted."""

    wanted: int
    seen: int = 0
    first: float = 0.0
    last: float = 0.0
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def came(self, _message: Msg) -> None:
        """One more."""
        self.first = self.first or time.perf_counter()
        self.seen += 1
        if self.seen == self.wanted:
            self.last = time.perf_counter()
            self.complete.set()

    @property
    def per_second(self) -> float:
        """From the first to the last."""
        return self.wanted / (self.last - self.first)


@asynccontextmanager
async def counting(client: Client, listen: str, wanted: int, patience_s: float = PATIENCE_S) -> AsyncIterator[Count]:
    """Count what comes on `listen`; leaves when all of it is there."""
    count = Count(wanted)
    subscription = await client.subscribe(listen, cb=count.came, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await client.flush()
    yield count
    await asyncio.wait_for(count.complete.wait(), patience_s)
    await subscription.unsubscribe()
