"""Publishing that ends only when the stream has the message: what provisioners and agents report must not get lost."""

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, Error, MaxPayloadError

from workspaced.bus.headers import MESSAGE_ID
from workspaced.bus.trace import trace_header

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
FIRST_ACK_LIMIT: Final = 1.0
LONGEST_ACK_LIMIT: Final = 8.0
"""Seconds: the pauses between attempts, and how long they wait for the stream's word: the first not long, for what went
into a connection that was breaking is never answered."""

_BAD_REQUEST: Final = 400


class _Fault(Struct):
    code: int = 0
    description: str = ""


class _Answer(Struct):
    stream: str = ""
    error: _Fault | None = None


class Refused(Error):
    """The stream will never take this message, however often it comes."""


async def publish_until_stored(nc: Client, subject: str, body: bytes, named: Mapping[str, str] | None = None) -> None:
    """Publish `body` and return when its stream has stored it; tries for ever, with back-off, while NATS is away.

    `named` are headers, a message id among them. Every attempt has the same one, so that the stream keeps one of them
    (deduplication window: 2 min). Raises ConnectionClosedError when `nc` is closed for good, and MaxPayloadError or
    Refused when repeating would not help.
    """
    headers = {MESSAGE_ID: str(uuid4())} | dict(named or {}) | trace_header()
    pause, limit = FIRST_PAUSE, FIRST_ACK_LIMIT
    while True:
        try:
            answer = await ask(nc, subject, body, limit, headers)
        except (ConnectionClosedError, MaxPayloadError):
            raise
        except (Error, OSError):
            pass  # away, reconnecting, no stream yet, no word in time
        else:
            fault = _fault(answer.data)
            if fault is None:
                return
            if fault.code == _BAD_REQUEST:  # this very message: too large for the stream
                raise Refused(f"{subject}: {fault.description}")
        await asyncio.sleep(pause)
        pause, limit = min(pause * 2, LONGEST_PAUSE), min(limit * 2, LONGEST_ACK_LIMIT)


def _fault(body: bytes) -> _Fault | None:
    """Why the stream did not take it; an answer that is none of a stream's counts as no word."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (ValueError, RecursionError):
        return _Fault()
    return answer.error or (None if answer.stream else _Fault())


async def ask(nc: Client, subject: str, body: bytes, limit: float, headers: dict[str, str] | None = None) -> Msg:
    """One request, `limit` in seconds, that never outlives its task's cancellation. Raises as `nc.request` does.

    The library waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancel that comes together with the
    answer; a reporter or a lease that was told to end would then go on.
    """
    try:
        return await nc.request(subject, body, timeout=limit, headers=headers)
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
