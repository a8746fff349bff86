"""A build's log by page, from LOGS; who comes late reads all of it."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from workspaced.bus import streams, subjects
from workspaced.bus.codec import decode_event
from workspaced.bus.direct import Kept, read
from workspaced.bus.log_bounds import cut
from workspaced.bus.messages import LogEntry, Logs, LogsRequest
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.values import Time

_STEP: Final = 1000
_PAGE_LENGTH: Final = 131_072
"""Characters of a page's output; in JSON they may take six times as much, and a reply is limited to 1 MiB."""
_PLACES: Final = 1000


class SentLine(Struct, frozen=True):
    """`messages.LogLine` or `messages.LogEnd`, as somebody sent it."""

    seq: int = 0
    end: bool = False
    at: Time | None = None
    stage: str = ""
    level: str = ""
    output: str = ""

    def numbered(self, seq: int) -> LogEntry | None:
        """The line under its number in the build; None for the end."""
        return None if self.end or self.at is None else LogEntry(seq, self.at, self.stage, self.level, cut(self.output))


def sent_line(body: bytes) -> SentLine | None:
    """What stands there; None for what is no line, which anybody with the provisioner's role could have put there."""
    try:
        line: SentLine = decode_event(body, SentLine)
    except UndecodableMessage:
        return None
    return line if line.end or line.at is not None else None


class Places:
    """Where in the stream pages ended, so that the next page of a long log is not counted from its beginning."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, int], tuple[int, int]] = OrderedDict()

    def note(self, build_id: str, last: int, kept: Kept) -> None:
        """Line `last` of the build is the message `kept`."""
        self._places[build_id, last] = (kept.sequence, hash(kept.body))
        if len(self._places) > _PLACES:
            self._places.popitem(last=False)

    async def find(self, connection: Client, build_id: str, after: int) -> int | None:
        """The sequence of line `after`; None if nobody noted it, or the stream has another message there by now."""
        place = self._places.get((build_id, after))
        if place is None:
            return None
        page = await read(connection, streams.LOGS, subjects.logs_of(build_id), place[0] - 1, 1)
        return place[0] if [(kept.sequence, hash(kept.body)) for kept in page.kept] == [place] else None


async def read_logs(connection: Client, request: LogsRequest, places: Places | None = None) -> Logs:
    """Lines of a build above `after`, at most `limit`. Raises Unavailable when NATS does not answer.

    `seq` is the line's own, so that whoever subscribed to `ws.log.>` can go on from what it has. A provisioner that
    takes over a job may count from 1 again: its lines are numbered on behind those before, in the stream's order.
    """
    lines: list[LogEntry] = []
    length, position, last, ended, more, full = 0, 0, 0, False, True, False
    place = await places.find(connection, request.build_id, request.after) if places else None
    if place is not None:
        position, last = place, request.after
    at_last: Kept | None = None
    while more and not full:
        page = await read(connection, streams.LOGS, subjects.logs_of(request.build_id), position, _STEP)
        more = page.more
        for kept in page.kept:
            position = kept.sequence
            line = sent_line(kept.body)
            if line is None:
                continue
            ended, last = line.end, max(line.seq, last + 1)
            entry = line.numbered(last) if last > request.after else None
            if entry is None:
                continue
            length += len(entry.output)
            full = len(lines) == request.limit or (bool(lines) and length > _PAGE_LENGTH)
            if full:
                break
            lines.append(entry)
            at_last = kept
    if places and at_last:
        places.note(request.build_id, lines[-1].seq, at_last)
    return Logs(tuple(lines), has_more=full, ended=ended and not full)
