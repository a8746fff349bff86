"""A chat's whole history, read page by page, and as a table."""

from datetime import timedelta
from itertools import pairwise
from typing import Final

from msgspec.structs import replace

from workspaced.app.render import say, short, span_in_words
from workspaced.app.tables import print_table
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import History, HistoryEntry

PAGE: Final = 1000


async def whole_history(client: WorkspacedClient, chat_id: str, *, stale: bool = False) -> History:
    """All transitions in one."""
    page = await client.history(chat_id, limit=PAGE, stale=stale)
    found = page
    while page.next is not None:
        page = await client.history(chat_id, after_version=page.next, limit=PAGE)
        found = replace(found, transitions=found.transitions + page.transitions, next=None)
    return found


def print_history(found: History) -> None:
    """One line a transition: version, when, from where to where, why, and how long what it left had lasted."""
    print_table(
        ("VERSION", "AT", "FROM", "TO", "CAUSE", "AFTER", "BUILD", ""),
        [
            (
                entry.version,
                f"{entry.at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
                entry.from_state,
                entry.to_state,
                entry.cause.event,
                after,
                short(entry.build_id),
                f"{entry.failure.message} ({entry.failure.code})" if entry.failure else "",
            )
            for entry, after in zip(found.transitions, _spans(found.transitions), strict=True)
        ],
        "it has no history",
    )
    if found.stale is None:
        return
    say()
    print_table(
        ("AT", "TOO LATE", "REASON"),
        [(f"{entry.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], entry.subject, entry.reason) for entry in found.stale],
        "nothing came too late",
    )


def _spans(entries: tuple[HistoryEntry, ...]) -> list[str]:
    """How long it took from one transition to the next; empty for the first."""
    gaps: list[timedelta] = [after.at - before.at for before, after in pairwise(entries)]
    return ["", *map(span_in_words, gaps)] if entries else []
