"""A message as a stream keeps it and a consumer delivers it."""

from datetime import UTC, datetime, timedelta
from functools import cached_property

from msgspec import Struct
from nats.aio.msg import Msg

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT_ACK = 9
"""Tokens of an ack subject without domain and account; with them there are two more in front."""


class Stored(Struct, frozen=True, dict=True):
    """One delivery of a stored message."""

    subject: str
    body: bytes
    headers: dict[str, str]
    """Case-sensitive, as they were sent."""
    stream: str
    sequence: int
    at: datetime
    """When the stream stored it."""
    deliveries: int = 1
    ack: str = ""
    """Where it is acknowledged."""

    @cached_property
    def key(self) -> str:
        """Names the message for good: a redelivery has the same, the same sequence of a stream made anew has not."""
        return f"{self.stream}/{(self.at - _EPOCH) // timedelta(microseconds=1):x}/{self.sequence}"


def from_delivery(message: Msg) -> Stored:
    """What a consumer delivered; stream, sequence and time stand in the subject that acknowledges it."""
    tokens = message.reply.split(".")
    first = 2 if len(tokens) == _SHORT_ACK else 4
    stream, _, deliveries, sequence, _, nanoseconds = tokens[first : first + 6]
    return Stored(
        subject=message.subject,
        body=message.data,
        headers=message.headers or {},
        stream=stream,
        sequence=int(sequence),
        at=from_nanoseconds(int(nanoseconds)),
        deliveries=int(deliveries),
        ack=message.reply,
    )


def from_nanoseconds(nanoseconds: int) -> datetime:
    """The time of a server's clock, UTC."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def from_text(text: str) -> datetime:
    """The same, from RFC 3339 in UTC; the server writes nine decimals, datetime takes six."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6].ljust(6, '0')}+00:00")
