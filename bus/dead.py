"""Messages nobody could use: putting them aside with the reason (wire.md section 4), and reading them."""

from typing import Final

from nats.aio.client import Client

from workspaced.bus import headers, streams, subjects
from workspaced.bus.direct import Kept, read
from workspaced.bus.messages import DeadEntry, DeadList, DeadRequest
from workspaced.bus.publish import Message, with_id
from workspaced.bus.stored import Stored
from workspaced.fsm.errors import UndecodableMessage

_PREFIX: Final = "ws.dead."
_PAGE_BYTES: Final = 131_072
"""Of a page's bodies, and characters shown of one: garbage may be six times as long in JSON, and a reply is limited."""


def dead_message(stored: Stored, fault: UndecodableMessage) -> Message:
    """`stored` as it goes to DEAD, its body unchanged; publish it, then terminate `stored`."""
    marks = {
        headers.DEAD_REASON: fault.reason,
        headers.DEAD_DETAIL: headers.one_line(fault.detail or ""),
        headers.DEAD_STREAM: stored.stream,
        headers.DEAD_SEQUENCE: str(stored.sequence),
    }
    return Message(subjects.dead(stored.subject), stored.body, with_id(stored.key) | marks)


async def read_dead(connection: Client, request: DeadRequest) -> DeadList:
    """A page of DEAD, with the engine's permissions. Raises Unavailable when NATS does not answer."""
    page = await read(connection, streams.DEAD, "ws.dead.>", request.after, request.limit, _PAGE_BYTES)
    return DeadList(tuple(_entry(kept) for kept in page.kept), page.more)


def _entry(kept: Kept) -> DeadEntry:
    return DeadEntry(
        seq=kept.sequence,
        at=kept.at,
        subject=kept.subject.removeprefix(_PREFIX),
        reason=kept.headers.get(headers.DEAD_REASON, ""),
        detail=kept.headers.get(headers.DEAD_DETAIL, ""),
        body=kept.body.decode("utf-8", "replace")[:_PAGE_BYTES],
    )
