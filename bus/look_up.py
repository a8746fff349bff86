"""Looking into the streams as an administrator: what they hold, how far their consumers are, one message of many."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from nats.aio.client import Client

from workspaced.bus.jetstream import Refused, request
from workspaced.bus.stored import from_text

_NO_MESSAGE: Final = 10037
_NO_CONSUMER: Final = 10014


class StreamState(Struct, frozen=True):
    """A stream as it is now."""

    created: datetime
    first_sequence: int
    last_sequence: int
    held_since: datetime
    """Whatever was stored later is held still, as far as the stream's limits per subject let it."""
    per_subject: int | None
    """Messages of one subject that it holds at most."""


class Found(Struct, frozen=True):
    """One message of a stream, with its headers."""

    sequence: int
    body: bytes
    headers: dict[str, str]


async def stream_state(admin: Client, stream: str) -> StreamState:
    """Raises Unavailable when there is no such stream or NATS does not answer."""
    info = await request(admin, f"STREAM.INFO.{stream}")
    state = info["state"]
    created = from_text(info["created"])
    since = created if state["first_seq"] <= 1 else from_text(state["first_ts"])
    most = info["config"].get("max_msgs_per_subject", -1)
    return StreamState(created, state["first_seq"], state["last_seq"], since, most if most > 0 else None)


async def acknowledged(admin: Client, stream: str, consumer: str) -> int:
    """Everything up to this sequence is acknowledged. Raises Unavailable."""
    info = await request(admin, f"CONSUMER.INFO.{stream}.{consumer}")
    floor: int = info["ack_floor"]["stream_seq"]
    return floor


async def subjects_held(admin: Client, stream: str, wanted: str) -> AsyncGenerator[list[str], None]:
    """The subjects of `stream` that match `wanted`, page by page, each once. Raises Unavailable."""
    offset = 0
    while True:
        info = await request(admin, f"STREAM.INFO.{stream}", {"subjects_filter": wanted, "offset": offset})
        page = list(info["state"].get("subjects") or ())
        if page:
            yield page
        offset += len(page)
        if not page or offset >= info.get("total", 0):
            return


async def last_of(admin: Client, stream: str, subjects: Sequence[str]) -> list[Found | None]:
    """The last message of each of `subjects`, in their order; None where there is none. All are asked at once."""
    return await asyncio.gather(*(_get(admin, stream, {"last_by_subj": subject}) for subject in subjects))


async def next_of(admin: Client, stream: str, wanted: str, sequence: int) -> Found | None:
    """The first message of `wanted` (wildcards allowed) from `sequence` on. Raises Unavailable."""
    return await _get(admin, stream, {"seq": sequence, "next_by_subj": wanted})


async def remove(admin: Client, stream: str, sequence: int) -> bool:
    """Take one message out of a stream; False when it was gone already. Raises Unavailable."""
    try:
        await request(admin, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    except Refused as error:
        if error.err_code in _GONE:
            return False
        raise
    return True


_GONE: Final = frozenset({_NO_MESSAGE, 10043, 10057})
"""No message found; the sequence is none; the message could not be deleted, for it is not there."""


async def _get(admin: Client, stream: str, what: dict[str, Any]) -> Found | None:
    try:
        reply = await request(admin, f"STREAM.MSG.GET.{stream}", what)
    except Refused as error:
        if error.err_code == _NO_MESSAGE:
            return None
        raise
    kept = reply["message"]
    return Found(kept["seq"], b64decode(kept.get("data", "")), _headers(b64decode(kept.get("hdrs", ""))))


def _headers(block: bytes) -> dict[str, str]:
    """`NATS/1.0`, then a line each."""
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}
