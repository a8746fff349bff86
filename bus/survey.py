"""All that a stream holds, page by page; bodies stay where they are unless they are asked for.

A batched direct get (`direct.py`) counts for each page how many messages follow, which takes the longer the more
subjects the stream has. A consumer counts once. In a cluster it reads one copy of the stream, which may be behind
the leader's: what the leader has and the copy has not is waited for.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from workspaced.bus.jetstream import request
from workspaced.bus.look_up import next_of, stream_state
from workspaced.bus.pull import MOST_BYTES
from workspaced.bus.stored import Stored, from_delivery
from workspaced.fsm.errors import Unavailable

PAGE: Final = 5000
PAGE_WITH_BODIES: Final = 500
PAGE_LIMIT: Final = timedelta(seconds=30)
"""A page that takes longer will not come."""
_WAIT: Final = 20_000_000_000
"""Nanoseconds that a copy has to catch up with its leader, shorter than PAGE_LIMIT."""
_UNUSED: Final = 60_000_000_000
"""Nanoseconds after which the server forgets a consumer whose reader died."""


async def headers_of(admin: Client, stream: str, *, bodies: bool = False) -> AsyncGenerator[list[Stored], None]:
    """Every message that `stream` holds now, ascending; what comes meanwhile may be among them.

    The stream must not be a work queue. Raises Unavailable when NATS does not answer. Close the iterator.
    """
    state = await stream_state(admin, stream)
    if state.first_sequence > state.last_sequence:
        return
    consumer = f"survey_{uuid4().hex}"
    config = {
        "name": consumer,
        "deliver_policy": "all",
        "ack_policy": "none",
        "headers_only": not bodies,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _UNUSED,
    }
    await request(admin, f"CONSUMER.CREATE.{stream}.{consumer}", {"stream_name": stream, "config": config})
    pages = _Pages(admin, f"{stream}.{consumer}", PAGE_WITH_BODIES if bodies else PAGE)
    await pages.start()
    try:
        reached = 0
        while reached < state.last_sequence:
            page = await pages.next()
            if not page:
                following = await next_of(admin, stream, ">", reached + 1)
                if following is None or following.sequence > state.last_sequence:
                    return
                page = await pages.awaited()
            reached = page[-1].sequence
            yield page
    finally:
        await pages.stop()
        with suppress(Unavailable):  # else it is forgotten by itself
            await request(admin, f"CONSUMER.DELETE.{stream}.{consumer}")


class _Pages:
    """What a consumer has, by page. Its messages come to a callback: an iterator wakes up for each of them."""

    def __init__(self, admin: Client, consumer: str, size: int) -> None:
        self._admin, self._consumer, self._inbox, self._size = admin, consumer, admin.new_inbox(), size
        self._page: list[Stored] = []
        self._wanted = self._asked = 0
        self._whole = asyncio.Event()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._admin.subscribe(
            f"{self._inbox}.*", cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def next(self) -> list[Stored]:
        """The next page; empty when the consumer sees no more. Raises Unavailable."""
        return await self._ask({"batch": self._size, "max_bytes": MOST_BYTES, "no_wait": True})

    async def awaited(self) -> list[Stored]:
        """A page of one message that must come, for the stream's leader has it. Raises Unavailable."""
        page = await self._ask({"batch": 1, "expires": _WAIT})
        if not page:
            raise Unavailable(f"{self._consumer} reads a copy that is behind its leader; try again later")
        return page

    async def _ask(self, wish: dict[str, int]) -> list[Stored]:
        self._page, self._wanted = [], wish["batch"]
        self._asked += 1
        self._whole.clear()
        try:
            wanted = json.dumps(wish).encode()
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._consumer}"
            await self._admin.publish(subject, wanted, reply=f"{self._inbox}.{self._asked}")
            async with asyncio.timeout(PAGE_LIMIT.total_seconds()):
                await self._whole.wait()
        except (TimeoutError, NatsError, OSError) as error:
            raise Unavailable(f"{self._consumer} cannot be read ({type(error).__name__})") from None
        return self._page

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:  # a status: there is no more, or the page has as many bytes as it may
            if message.subject == f"{self._inbox}.{self._asked}":
                self._whole.set()
            return
        self._page.append(from_delivery(message))
        if len(self._page) == self._wanted:
            self._whole.set()
