"""Sending a batch out and knowing that each message is stored.

Waiting for the last answer only would miss one refused in the middle, and awaiting one future per message halves the
rate; so answers are counted on one inbox (measured in bus-notes.md section 2).
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from workspaced.bus import streams
from workspaced.bus.codec import decode
from workspaced.bus.headers import MESSAGE_ID, STATUS
from workspaced.fsm.errors import Unavailable

TIME_LIMIT: Final = timedelta(seconds=5)


class Message(Struct, frozen=True):
    """A message to send."""

    subject: str
    body: bytes
    headers: dict[str, str] | None = None
    answered: bool = True
    """A stream (or the stream's API) answers it; false for plain messages, which nobody confirms."""


class _Fault(Struct):
    description: str = ""
    err_code: int = 0


class _Answer(Struct):
    error: _Fault | None = None


class Refusal(Struct, frozen=True):
    """A message that was not stored, and why."""

    message: Message
    reason: str
    err_code: int = 0
    """JetStream's number of the fault, 0 when it is none of JetStream's."""


class NotStored(Unavailable):
    """Not every message is stored; whatever caused them must not be acknowledged."""

    def __init__(self, refusals: list[Refusal], missing: int) -> None:
        """`missing` messages were not answered in time."""
        first = f": {refusals[0].message.subject}: {refusals[0].reason}" if refusals else ""
        super().__init__(f"{len(refusals)} messages were refused and {missing} not answered{first}")
        self.refusals = refusals
        self.missing = missing

    @property
    def reason(self) -> str:
        """In a few words for an operator: which stream says what."""
        if not self.refusals:
            return "no answer in time"
        first = self.refusals[0]
        return f"{streams.stream_of(first.message.subject) or first.message.subject}: {first.reason}"


class _Batch:
    """What is still to be answered of one call."""

    def __init__(self) -> None:
        self.open: dict[str, Message] = {}
        self.refusals: list[Refusal] = []
        self.done = asyncio.Event()


class Publisher:
    """Publishes on one connection; any number of calls may run at once."""

    def __init__(self, connection: Client, time_limit: timedelta = TIME_LIMIT) -> None:
        self._connection = connection
        self._time_limit = time_limit.total_seconds()
        self._inbox = connection.new_inbox()
        self._next = 0
        self._open: dict[str, _Batch] = {}

    async def start(self) -> None:
        """Subscribe to the inbox of all answers."""
        await self._connection.subscribe(
            f"{self._inbox}.*", cb=self._on_answer, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def publish(self, messages: Iterable[Message]) -> None:
        """Send `messages` in order; returns when each that is answered is stored, now or before under the same id.

        Raises NotStored (an Unavailable) when one was refused or the time limit passed: then some are stored and some
        are not, and the same call may be made again.
        """
        batch = _Batch()
        try:
            for message in messages:
                await self._send(message, batch)
            async with asyncio.timeout(self._time_limit):
                while batch.open:  # the last answer so far may come before the last message is sent
                    batch.done.clear()
                    await batch.done.wait()
        except TimeoutError:
            raise NotStored(batch.refusals, len(batch.open)) from None
        finally:
            for reply in batch.open:
                self._open.pop(reply, None)
        if batch.refusals:
            raise NotStored(batch.refusals, 0)

    async def _send(self, message: Message, batch: _Batch) -> None:
        reply = ""
        if message.answered:
            self._next += 1
            reply = f"{self._inbox}.{self._next}"
            batch.open[reply] = message
            self._open[reply] = batch
        try:
            await self._connection.publish(message.subject, message.body, reply=reply, headers=message.headers)
        except (NatsError, OSError, ValueError) as error:  # too large, not connected, a header that cannot be
            batch.open.pop(reply, None)
            self._open.pop(reply, None)
            batch.refusals.append(Refusal(message, f"{type(error).__name__}: {error}"))

    async def _on_answer(self, answer: Msg) -> None:
        batch = self._open.pop(answer.subject, None)
        if batch is None:
            return  # too late: its call has given up
        message = batch.open.pop(answer.subject)
        refusal = _refusal(message, answer)
        if refusal is not None:
            batch.refusals.append(refusal)
        if not batch.open:
            batch.done.set()


def with_id(message_id: str) -> dict[str, str]:
    """The headers under which a stream stores a message once."""
    return {MESSAGE_ID: message_id}


def _refusal(message: Message, answer: Msg) -> Refusal | None:
    if answer.headers and STATUS in answer.headers:
        return Refusal(message, f"no stream takes it ({answer.headers[STATUS]})")
    if b'"error"' not in answer.data:
        return None
    try:
        fault = decode(answer.data, _Answer).error
    except ValueError as error:
        return Refusal(message, f"its answer cannot be read: {error}")
    return Refusal(message, fault.description, fault.err_code) if fault else None
