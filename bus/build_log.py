"""A build's log on its way to LOGS: lines are gathered for a moment and leave together."""

import asyncio
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error

from workspaced.bus import subjects
from workspaced.bus.headers import MESSAGE_ID
from workspaced.bus.log_bounds import LAST_LINES, LogBounds, cut
from workspaced.bus.messages import LogEnd, LogLine
from workspaced.bus.until_stored import publish_until_stored

BURST: Final = 1000
"""Lines between two whose storage is waited for: a server that gets too much at once drops the rest silently."""

ATTEMPT_STRIDE: Final = 1_000_000_000
"""How far apart the line numbers of two attempts at a job begin, so that `seq` grows within the build."""


class BuildLog:
    """The lines of one attempt at a job, in order; the last thing is its end.

    A log that grows beyond its bounds says so where it is cut, and brings its last lines before its end. So what waits
    while NATS is away is bounded too.
    """

    def __init__(
        self,
        nc: Client,
        workspace_id: str,
        build_id: str,
        *,
        attempt: int,
        flush: timedelta,
        tenant: str | None = None,
    ) -> None:
        """With `tenant` what is sent goes to that organization too, where no stream keeps it."""
        self._nc = nc
        self._subject = subjects.log(workspace_id, build_id)
        self._to_tenant = subjects.log(workspace_id, build_id, tenant) if tenant else None
        self._build_id = build_id
        self._seq = (attempt - 1) * ATTEMPT_STRIDE
        self._flush = flush.total_seconds()
        self._waiting: deque[LogLine] = deque()
        self._bounds = LogBounds()
        self._flusher: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def add(self, stage: str, level: str, output: str) -> None:
        """Add each line of `output`; they are on the bus after the flush interval at the latest."""
        for text in output.splitlines() or [""]:
            line = LogLine(datetime.now(UTC), cut(stage)[:256], cut(level)[:256], cut(text), 0)
            was_cut = self._bounds.reached
            if self._bounds.take(line):
                self._put(line)
            elif not was_cut:
                self._note(f"… the log is too long and is cut here; its last {LAST_LINES} lines follow at its end")
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(self._flush, self._begin_sending)

    async def end(self) -> None:
        """Send what waits, then the end, and return when the end, so everything before it, is stored."""
        if self._flusher is not None:
            self._flusher.cancel()
        if self._sending is not None:
            await self._sending
        left_out, last = self._bounds.end()
        if left_out:
            self._note(f"… {left_out} lines are left out here")
        for line in last:
            self._put(line)
        await self._send()
        self._seq += 1
        await self._publish_stored(LogEnd(seq=self._seq))

    def drop(self) -> None:
        """Send nothing more: the lease is lost."""
        self._waiting.clear()
        if self._flusher is not None:
            self._flusher.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def _put(self, line: LogLine) -> None:
        self._seq += 1
        self._waiting.append(replace(line, seq=self._seq))

    def _note(self, text: str) -> None:
        """A line of ours."""
        self._put(LogLine(datetime.now(UTC), "log", "warning", text, 0))

    def _begin_sending(self) -> None:
        self._flusher = None
        if self._sending is None or self._sending.done():  # one at a time, for the order
            self._sending = asyncio.create_task(self._send())
        else:
            self._flusher = asyncio.get_running_loop().call_later(self._flush, self._begin_sending)

    async def _send(self) -> None:
        """Publish without waiting for the stream's word on each line: `end`, on the same connection, waits for its."""
        while self._waiting and self._nc.is_connected:
            line = self._waiting.popleft()
            with suppress(Error):
                if line.seq % BURST:
                    body = msgspec.json.encode(line)
                    await self._tell_tenant(body)
                    await self._nc.publish(self._subject, body)
                else:
                    await self._publish_stored(line)
        if self._waiting and self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(1.0, self._begin_sending)

    async def _publish_stored(self, line: LogLine | LogEnd) -> None:
        message_id = f"{self._build_id}:{line.seq}" + (":end" if isinstance(line, LogEnd) else "")
        body = msgspec.json.encode(line)
        await self._tell_tenant(body)
        await publish_until_stored(self._nc, self._subject, body, {MESSAGE_ID: message_id})

    async def _tell_tenant(self, body: bytes) -> None:
        """Ahead of what the stream keeps; whoever missed it reads it by page."""
        if self._to_tenant is not None:
            with suppress(Error):
                await self._nc.publish(self._to_tenant, body)
