"""The provisioner's end of the JOBS work queue: asks for as many jobs as there is room for, oldest first."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, Error

from workspaced.bus import streams, subjects
from workspaced.bus.codec import decode
from workspaced.bus.headers import PENDING, STATUS
from workspaced.bus.until_stored import ask

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

_log = logging.getLogger(__name__)

EXPIRES: Final = 30.0
HEARTBEAT: Final = 2.0
"""Seconds that a request for jobs stays open at most, and between the server's signs of life on it.

It stays open for no longer than a lease: a program that was suspended would else be given its job again, over and over,
until the job counts as hung, while others have time for it.
"""

PAUSE: Final = 1.0
"""Seconds before asking again after the queue turned a request down (no consumer yet, a leader change)."""

INFO_LIMIT: Final = 2.0
CLOSE_LIMIT: Final = 2.0
"""Seconds to wait for the consumer's description, and for the server to take back its promise of more jobs."""


class _Config(Struct):
    ack_wait: int = 30_000_000_000


class _ConsumerInfo(Struct):
    config: _Config | None = None


class JobQueue:
    """Job messages of one tag, as an async iterator; `room` more are asked for whenever some are done."""

    def __init__(self, nc: Client, tag: str, room: int) -> None:
        """Raises BadRequest when `tag` is none."""
        subjects.jobs_of(tag)
        self.tag = tag
        self.lease = timedelta(seconds=30)
        """How long a job is ours after each extension; read from the consumer by `open`."""
        self._nc = nc
        self._room = room
        self._expires, self._heartbeat = EXPIRES, HEARTBEAT
        self._asked = 0
        self._round = 0
        """Part of the inbox: status lines of requests that were given up carry an older one."""
        self._arrived: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._refused = False
        self._closed = False
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Wait for the tag's consumer, read its lease and start to listen."""
        subject, told = f"$JS.API.CONSUMER.INFO.{streams.JOBS}.{self.tag}", False
        while not self._closed:
            with suppress(Error, ValueError):
                reply = await ask(self._nc, subject, b"", INFO_LIMIT)
                if config := decode(reply.data, _ConsumerInfo).config:
                    self.lease = timedelta(microseconds=config.ack_wait / 1000)
                    break
            if self._nc.is_closed:
                raise ConnectionClosedError
            if not told:
                _log.warning(
                    "the queue of jobs %r is not there yet; an admin makes it with: "
                    "workspaced migrate --provisioner-tag %s",
                    self.tag,
                    self.tag,
                )
                told = True
            await self._wait(PAUSE)
        self._expires = min(EXPIRES, self.lease.total_seconds())
        self._heartbeat = min(HEARTBEAT, self._expires / 2)  # the server takes no longer one
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(f"{self._inbox}.*", cb=self._on_message)

    async def close(self) -> None:
        """Ask for no more and end the iteration; what arrives too late goes back to the queue."""
        self._closed = True
        self._news.set()
        if self._subscription is not None:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSE_LIMIT):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py's
        while self._arrived:
            await self._give_back(self._arrived.popleft())

    def done(self) -> None:
        """Note that there is room for one more."""
        self._room += 1
        self._news.set()

    def ask_anew(self) -> None:
        """Forget what was asked on a former connection."""
        self._give_up()
        self._refused = False
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Msg]:
        """Jobs as they come; ends after `close`. Raises ConnectionClosedError when NATS is gone for good."""
        while not self._closed:
            if self._nc.is_closed:
                raise ConnectionClosedError
            if self._arrived:
                self._room -= 1
                yield self._arrived.popleft()
                continue
            self._news.clear()
            if self._refused:
                await self._wait(PAUSE)
                self._refused = False
            await self._ask()
            # While there is no room there is no open request, so no heartbeat to wait for.
            if not await self._wait(2.5 * self._heartbeat if self._room > 0 else None):
                self._give_up()

    async def _ask(self) -> None:
        count = self._room - self._asked - len(self._arrived)
        if count <= 0 or not self._nc.is_connected:
            return
        body = {"batch": count, "expires": _ns(self._expires), "idle_heartbeat": _ns(self._heartbeat)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{streams.JOBS}.{self.tag}"
        with suppress(Error):
            await self._nc.publish(subject, json.dumps(body).encode(), reply=f"{self._inbox}.{self._round}")
            self._asked += count

    def _give_up(self) -> None:
        self._asked = 0
        self._round += 1

    async def _wait(self, seconds: float | None) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
            return True
        return False

    async def _on_message(self, msg: Msg) -> None:
        if msg.reply:  # a job; status lines have no reply subject
            self._asked = max(0, self._asked - 1)
            if self._closed:
                await self._give_back(msg)
            else:
                self._arrived.append(msg)
        elif msg.subject == f"{self._inbox}.{self._round}":
            headers = msg.headers or {}
            status = headers.get(STATUS)
            if status == "408":  # a request ran out: what it did not bring may be asked for anew
                self._asked = max(0, self._asked - int(headers.get(PENDING, "0")))
            elif status != "100":  # 409, 503: asking again at once would spin
                self._give_up()
                self._refused = True
        self._news.set()

    async def _give_back(self, msg: Msg) -> None:
        with suppress(Error):
            await msg.nak()


def _ns(seconds: float) -> int:
    return int(seconds * 10**9)
