"""A build's log by page, from LOGS; who comes late reads all of it."""

from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from workspaced.bus import subjects
from workspaced.bus.codec import decode_event
from workspaced.bus.direct import Kept, read
from workspaced.bus.messages import LogEntry, Logs, LogsRequest
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.values import Time

_STEP: Final = 1000
_PAGE_LENGTH: Final = 131_072
"""Characters of a page's output; in JSON they may take six times as much, and a reply is limited to 1 MiB."""


class _Line(Struct):
    """`messages.LogLine` or `messages.LogEnd`."""

    seq: int = 0
    end: bool = False
    at: Time | None = None
    stage: str = ""
    level: str = ""
    output: str = ""


async def read_logs(connection: Client, request: LogsRequest) -> Logs:
    """Lines of a build above `after`, at most `limit`. Raises Unavailable when NATS does not answer.

    `seq` is the line's own, so that whoever subscribed to `ws.log.>` can go on from what it has. A provisioner that
    takes over a job may count from 1 again: its lines are numbered on behind those before, in the stream's order.
    """
    lines: list[LogEntry] = []
    length, position, last, ended, more = 0, 0, 0, False, True
    while more:
        page = await read(connection, subjects.LOGS, subjects.logs_of(request.build_id), position, _STEP)
        more = page.more
        for kept in page.kept:
            position = kept.sequence
            line = _line(kept)
            if line is None:
                continue
            ended, last = line.end, max(line.seq, last + 1)
            if line.at is None or line.end or last <= request.after:
                continue
            length += len(line.output)
            if len(lines) == request.limit or (lines and length > _PAGE_LENGTH):
                return Logs(tuple(lines), has_more=True, ended=False)
            lines.append(LogEntry(last, line.at, line.stage, line.level, line.output))
    return Logs(tuple(lines), has_more=False, ended=ended)


def _line(kept: Kept) -> _Line | None:
    """What stands there; None for what is no line, which anybody with the provisioner's role could have put there."""
    try:
        line: _Line = decode_event(kept.body, _Line)
    except UndecodableMessage:
        return None
    return line if line.end or line.at is not None else None
