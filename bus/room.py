"""How full the streams are, and making room in EVENTS before it refuses what nobody has decided yet."""

import asyncio
from typing import Any, Final

from nats.aio.client import Client

from workspaced.bus import streams
from workspaced.bus.jetstream import request
from workspaced.fsm.errors import Unavailable

NEARLY_FULL: Final = 0.8
"""From here on EVENTS loses what is decided; most of a limit is history otherwise."""


def share_used(info: dict[str, Any]) -> float:
    """How much of its limits a stream has used, 0 to 1; 0 when it has none. `info` is that of `STREAM.INFO`."""
    config, state = info["config"], info["state"]
    limits = ((config.get("max_bytes", -1), state["bytes"]), (config.get("max_msgs", -1), state["messages"]))
    return max((used / limit for limit, used in limits if limit > 0), default=0.0)


async def drops_deadlines(connection: Client) -> bool:
    """Whether TIMERS has a limit, also one that it is far from: it can only drop what is oldest. Raises Unavailable."""
    config = (await request(connection, f"STREAM.INFO.{streams.TIMERS}"))["config"]
    return any(config.get(limit, 0) > 0 for limit in ("max_bytes", "max_msgs", "max_msgs_per_subject", "max_age"))


async def shares_used(connection: Client) -> dict[str, float]:
    """Of each stream that tells. Takes as long as `jetstream.request` when none does."""

    async def ask(stream: str) -> float | None:
        try:
            return share_used(await request(connection, f"STREAM.INFO.{stream}"))
        except Unavailable:
            return None

    shares = await asyncio.gather(*(ask(stream) for stream in streams.SUBJECTS))
    return {stream: share for stream, share in zip(streams.SUBJECTS, shares, strict=True) if share is not None}


async def make_room(connection: Client) -> int:
    """Drop from a nearly full EVENTS what the engines are done with; how many messages. Raises Unavailable."""
    if share_used(await request(connection, f"STREAM.INFO.{streams.EVENTS}")) < NEARLY_FULL:
        return 0
    consumer = await request(connection, f"CONSUMER.INFO.{streams.EVENTS}.{streams.ENGINE}")
    done = int(consumer["ack_floor"]["stream_seq"])
    if not done:
        return 0
    answer = await request(connection, f"STREAM.PURGE.{streams.EVENTS}", {"seq": done + 1})
    return int(answer["purged"])
