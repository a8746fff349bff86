"""A build's log on its way to LOGS: lines are gathered for a moment and leave together."""

import asyncio
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error

from workspaced.bus import subjects
from workspaced.bus.messages import LogEnd, LogLine
from workspaced.bus.until_stored import publish_until_stored

LINE_LENGTH: Final = 4096
"""Characters of a line that are kept."""

WAITING_LINES: Final = 10_000
"""Lines that wait while NATS is away; older ones make way."""

ATTEMPT_STRIDE: Final = 1_000_000_000
"""How far apart the line numbers of two attempts at a job begin, so that `seq` grows within the build."""


class BuildLog:
    """The lines of one attempt at a job, in order; the last thing is its end."""

    def __init__(self, nc: Client, workspace_id: str, build_id: str, *, attempt: int, flush: timedelta) -> None:
        self._nc = nc
        self._subject = subjects.log(workspace_id, build_id)
        self._build_id = build_id
        self._seq = (attempt - 1) * ATTEMPT_STRIDE
        self._flush = flush.total_seconds()
        self._waiting: deque[LogLine] = deque()
        self._dropped = 0
        self._flusher: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None

    def add(self, stage: str, level: str, output: str) -> None:
        """Add each line of `output`; they are on the bus after the flush interval at the latest."""
        for line in output.splitlines() or [""]:
            if len(self._waiting) >= WAITING_LINES:
                self._waiting.popleft()
                self._dropped += 1
            self._seq += 1
            self._waiting.append(LogLine(datetime.now(UTC), stage[:256], level[:256], _cut(line), self._seq))
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(self._flush, self._begin_sending)

    async def end(self) -> None:
        """Send what waits, then the end, and return when the end, so everything before it, is stored."""
        if self._flusher is not None:
            self._flusher.cancel()
        if self._sending is not None:
            await self._sending
        await self._send()
        self._seq += 1
        body = msgspec.json.encode(LogEnd(seq=self._seq))
        await publish_until_stored(self._nc, self._subject, body, f"{self._build_id}:{self._seq}:end")

    def drop(self) -> None:
        """Send nothing more: the lease is lost."""
        self._waiting.clear()
        if self._flusher is not None:
            self._flusher.cancel()
        if self._sending is not None:
            self._sending.cancel()

    def _begin_sending(self) -> None:
        self._flusher = None
        if self._sending is None or self._sending.done():  # one at a time, for the order
            self._sending = asyncio.create_task(self._send())
        else:
            self._flusher = asyncio.get_running_loop().call_later(self._flush, self._begin_sending)

    async def _send(self) -> None:
        """Publish without waiting for the stream's word on each line: `end`, on the same connection, waits for its."""
        if self._dropped:
            note = f"… {self._dropped} lines were dropped while NATS was away"
            self._dropped = 0
            self._seq += 1
            self._waiting.append(LogLine(datetime.now(UTC), "log", "warning", note, self._seq))
        while self._waiting and self._nc.is_connected:
            line = self._waiting.popleft()
            with suppress(Error):
                await self._nc.publish(self._subject, msgspec.json.encode(line))
        if self._waiting and self._flusher is None:
            self._flusher = asyncio.get_running_loop().call_later(1.0, self._begin_sending)


def _cut(line: str) -> str:
    if len(line) <= LINE_LENGTH:
        return line
    return f"{line[:LINE_LENGTH]}… ({len(line) - LINE_LENGTH} more characters)"
