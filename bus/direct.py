"""Reading a stream by page without a consumer: JetStream's batched direct get (ADR-31)."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from workspaced.bus.headers import STATUS, status_of
from workspaced.bus.stored import from_text
from workspaced.fsm.errors import Unavailable

TIME_LIMIT: Final = timedelta(seconds=5)
PAGE_BYTES: Final = 524_288
"""Bytes of a page's messages, so that a page fits into one reply; the first message is always in it."""

_SEQUENCE: Final = "Nats-Sequence"
_SUBJECT: Final = "Nats-Subject"
_TIME: Final = "Nats-Time-Stamp"
_PENDING: Final = "Nats-Num-Pending"


class Kept(Struct, frozen=True):
    """A message that a stream keeps."""

    subject: str
    body: bytes
    headers: dict[str, str]
    sequence: int
    at: datetime


class Page(Struct, frozen=True):
    """Messages in ascending order, and whether more of the subject follow."""

    kept: list[Kept]
    more: bool


async def read(
    connection: Client, stream: str, subject: str, after: int, limit: int, page_bytes: int = PAGE_BYTES
) -> Page:
    """Up to `limit` messages of `subject` (wildcards allowed) whose sequence is above `after`.

    Raises Unavailable when the stream does not answer or this user may not ask.
    """
    inbox = connection.new_inbox()
    ask = {"seq": after + 1, "batch": limit, "next_by_subj": subject, "max_bytes": page_bytes}
    subscription = await connection.subscribe(inbox)
    kept: list[Kept] = []
    try:
        await connection.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(ask).encode(), reply=inbox)
        async with asyncio.timeout(TIME_LIMIT.total_seconds()):
            async for message in subscription.messages:
                marks = message.headers or {}
                match marks.get(STATUS) if _SEQUENCE not in marks else None:  # a kept message may have any headers
                    case None:
                        kept.append(_kept(message.data, marks))
                    case "204":
                        return Page(kept, int(marks.get(_PENDING, "0")) > 0)
                    case "404":
                        return Page(kept, more=False)
                    case _:
                        raise Unavailable(f"stream {stream} cannot be read: {status_of(marks)}")
    except (TimeoutError, NatsError, OSError) as error:
        raise Unavailable(f"stream {stream} does not answer ({type(error).__name__})") from None
    finally:
        await subscription.unsubscribe()
    raise Unavailable(f"stream {stream} does not answer: the connection was closed")


def _kept(body: bytes, marks: dict[str, str]) -> Kept:
    return Kept(marks[_SUBJECT], body, marks, int(marks[_SEQUENCE]), from_text(marks[_TIME]))
