"""Taking what has arrived from durable consumers: one message when it is quiet, a full batch under load.

Two requests are kept open per consumer, so that the server always may deliver; whatever came while the last batch was
worked on is the next one. There is no poll and no linger time (measured in bus-notes.md section 1).
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from workspaced.bus.headers import DESCRIPTION, PENDING, STATUS, status_of
from workspaced.bus.stored import Stored, from_delivery
from workspaced.fsm.errors import Unavailable

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

CAP: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one request. What the server has for a connection may not exceed its `max_pending`, 64 MiB, or it drops that
connection, and again after each reconnect: with the largest messages that there may be, two batches would."""
HEARTBEAT: Final = timedelta(seconds=2)
_SPENT: Final = frozenset({"Message Size Exceeds MaxBytes", "Batch Completed"})
"""A request has brought as many bytes as it may, or as many messages and fewer bytes."""
_EXPIRES: Final = timedelta(seconds=30)
_MISSED: Final = 2.5
"""Heartbeats without a word before the requests count as lost."""


class Pull:
    """One durable consumer's messages. `take` is for one caller at a time."""

    def __init__(
        self,
        connection: Client,
        stream: str,
        consumer: str,
        *,
        cap: int = CAP,
        heartbeat: timedelta = HEARTBEAT,
        woken: asyncio.Event | None = None,
    ) -> None:
        """`woken` is shared by pulls that are taken together."""
        self.stream = stream
        self.consumer = consumer
        self._patience = _MISSED * heartbeat.total_seconds()
        self._connection = connection
        self._cap = cap
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._body = json.dumps(
            {
                "batch": cap,
                "max_bytes": MOST_BYTES,
                "expires": int(_EXPIRES.total_seconds() * 1e9),
                "idle_heartbeat": int(heartbeat.total_seconds() * 1e9),
            }
        ).encode()
        self._inbox = connection.new_inbox()
        self._round = 0
        self._credit = 0
        """Messages that open requests may still bring."""
        self._waiting: list[Stored] = []
        self._woken = woken or asyncio.Event()
        self._fault: Unavailable | None = None
        self._subscription: Subscription | None = None
        self._clock = asyncio.get_running_loop().time
        self._heard_at = 0.0
        self.silent = False
        """The requests were lost without a word, and there was none since."""

    async def start(self) -> None:
        """Subscribe and ask."""
        self._subscription = await self._connection.subscribe(
            f"{self._inbox}.*", cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._begin_anew()
        await self._ask()

    async def take(self) -> list[Stored]:
        """What has arrived, at least one and at most `cap`, oldest first; waits while there is nothing.

        Raises Unavailable when the consumer is gone or nobody serves the stream: check the streams, then take again.
        """
        self._woken.clear()  # before looking, so that what comes while we look is not slept over
        while not (batch := await self.drain()):
            await wait_for_any([self], self._woken)
            self._woken.clear()
        return batch

    async def drain(self) -> list[Stored]:
        """What has arrived, perhaps nothing; does not wait for messages. Raises as `take`."""
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        batch, self._waiting = self._waiting[: self._cap], self._waiting[self._cap :]
        await self._ask()
        return batch

    @property
    def lost_at(self) -> float:
        """On the loop's clock: without a word until then, not even a heartbeat, the requests are lost."""
        return self._heard_at + self._patience

    def give_up(self) -> None:
        """The requests are lost; the next `drain` makes them anew."""
        self.silent = True
        self._begin_anew()

    def reconnected(self) -> list[Stored]:
        """The connection came back, the requests did not; call it from the connection's `reconnected_cb`.

        What was delivered before and not taken is handed back, to be given back with `nak`.
        """
        self._begin_anew()
        self._woken.set()
        return self._hand_back()

    async def stop(self) -> list[Stored]:
        """Ask no more; what was delivered and not taken is handed back, to be decided or given back with `nak`."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._connection.is_connected:
            await subscription.drain()  # type: ignore[no-untyped-call]  # what is on its way still counts: else it would wait for `ack_wait`
        return self._hand_back()

    def _hand_back(self) -> list[Stored]:
        rest, self._waiting = self._waiting, []
        return rest

    async def _ask(self) -> None:
        # A request waits in the client while it is not connected; many of them would fill its buffer.
        while self._subscription and self._connection.is_connected and self._credit <= self._cap:
            self._credit += self._cap
            await self._connection.publish(self._subject, self._body, reply=f"{self._inbox}.{self._round}")

    def _begin_anew(self) -> None:
        self._round += 1
        self._credit = 0
        self._heard_at = self._clock()

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = self._clock()
        self.silent = False
        if message.reply:  # status lines have none
            self._waiting.append(from_delivery(message))
            self._credit = max(0, self._credit - 1)
            self._woken.set()
            return
        if message.subject != f"{self._inbox}.{self._round}":
            return  # of a request that was given up
        headers = message.headers or {}
        match headers.get(STATUS):
            case "100":
                return
            case "408":  # this request ran out: what it did not bring is free again
                self._credit = max(0, self._credit - int(headers.get(PENDING, self._cap)))
                await self._ask()
            case "409" if headers.get(DESCRIPTION) in _SPENT:  # whoever takes what it brought asks for more
                self._credit = max(0, self._credit - int(headers.get(PENDING, 0)))
                self._woken.set()
            case _:  # asking at once would spin
                self._begin_anew()
                self._fault = Unavailable(
                    f"consumer {self.consumer} of stream {self.stream} gave up: {status_of(headers)}"
                )
                self._woken.set()


class Intake:
    """Several consumers taken as one, in the order given; `take` is for one caller at a time."""

    def __init__(self, connection: Client, consumers: Iterable[tuple[str, str]], *, cap: int = CAP) -> None:
        """`consumers` are (stream, consumer)."""
        self._woken = asyncio.Event()
        self._ended = False
        self.pulls = [Pull(connection, stream, consumer, cap=cap, woken=self._woken) for stream, consumer in consumers]

    @property
    def silent(self) -> list[str]:
        """Streams without a word, not even a heartbeat, for longer than there may be."""
        return [pull.stream for pull in self.pulls if pull.silent]

    async def start(self) -> None:
        """Subscribe and ask."""
        for pull in self.pulls:
            await pull.start()

    async def take(self) -> list[Stored]:
        """What has arrived on any of them, at most `cap` of each; nothing only after `end`. Raises as `Pull.take`."""
        self._woken.clear()
        while not (batch := [stored for pull in self.pulls for stored in await pull.drain()]) and not self._ended:
            await wait_for_any(self.pulls, self._woken)
            self._woken.clear()
        return batch

    def end(self) -> None:
        """Whoever waits in `take` goes home, and nobody waits there any more."""
        self._ended = True
        self._woken.set()

    def reconnected(self) -> list[Stored]:
        """As `Pull.reconnected`."""
        return [stored for pull in self.pulls for stored in pull.reconnected()]

    async def stop(self) -> list[Stored]:
        """As `Pull.stop`."""
        return [stored for pull in self.pulls for stored in await pull.stop()]


async def wait_for_any(pulls: list[Pull], woken: asyncio.Event) -> None:
    """Wait until one of `pulls`, which all set `woken`, has something to drain or has lost its requests."""
    try:
        async with asyncio.timeout_at(min(pull.lost_at for pull in pulls)):
            await woken.wait()
    except TimeoutError:
        now = asyncio.get_running_loop().time()
        for pull in pulls:
            if pull.lost_at <= now:
                pull.give_up()


async def ack(connection: Client, batch: Iterable[Stored]) -> None:
    """These are done. Nothing comes back; one that is lost is delivered again, which must be harmless."""
    for stored in batch:
        await connection.publish(stored.ack, b"+ACK")


async def nak(connection: Client, batch: Iterable[Stored], delay: timedelta = timedelta(0)) -> None:
    """These are to be delivered again after `delay`."""
    body = f'-NAK {{"delay": {delay // timedelta(microseconds=1) * 1000}}}'.encode()
    for stored in batch:
        await connection.publish(stored.ack, body)


async def term(connection: Client, batch: Iterable[Stored], reason: str = "") -> None:
    """These are never to be delivered again, though nobody could use them."""
    body = f"+TERM {reason}".strip().encode()
    for stored in batch:
        await connection.publish(stored.ack, body)


async def working(connection: Client, batch: Iterable[Stored]) -> None:
    """These take longer: their `ack_wait` begins anew."""
    for stored in batch:
        await connection.publish(stored.ack, b"+WPI")
