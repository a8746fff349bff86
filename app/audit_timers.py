"""Whether TIMERS will wake every chat that waits: the row has the truth, the slot the wake-up (design.md section 5)."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.bus import streams, subjects
from workspaced.bus.announce import timer_message
from workspaced.bus.headers import SCHEDULE
from workspaced.bus.look_up import Found as Held
from workspaced.bus.look_up import last_of
from workspaced.bus.publish import Message
from workspaced.fsm.effects import ChatDeadline, SetTimer
from workspaced.store.audit import MOST, AuditRows, Found, Waiting

PAGE: Final = 500
"""Chats whose slots are asked for at once."""


async def check_timers(
    rows: AuditRows, admin: Client, since: datetime, tell: Callable[[str, int, int], None]
) -> list[Found]:
    """Waiting chats that nothing will wake. Raises Unavailable."""
    total, done = (await rows.size()).waiting, 0
    found: list[Found] = []
    after: str | None = None
    while len(found) < MOST and (page := await rows.waiting(after, PAGE, since)):
        tell("deadlines", done, max(done, total))
        faults = await _asleep(admin, [chat for chat in page if chat.set])
        # One that has moved meanwhile has another wake-up, or needs none.
        waiting = await rows.still_waiting([chat for chat, _ in faults])
        found += [Found({"chat_id": chat.chat_id}, detail) for chat, detail in faults if chat.chat_id in waiting]
        after, done = page[-1].chat_id, done + len(page)
    tell("deadlines", done, done)
    return found[:MOST]


async def _asleep(admin: Client, chats: Sequence[Waiting]) -> list[tuple[Waiting, str]]:
    """Chats without a wake-up in their slot or on its way from there, each with what is wrong."""
    slots = await last_of(admin, streams.TIMERS, [subjects.timer("chat", chat.chat_id) for chat in chats])
    missing = [(chat, slot) for chat, slot in zip(chats, slots, strict=True) if not _armed(slot, chat)]
    # The slot first: what is not in it any more has fired, and stays there until it is acknowledged.
    fired = await last_of(admin, streams.TIMERS, [subjects.due("chat", chat.chat_id) for chat, _ in missing])
    return [
        (chat, _fault(chat, slot))
        for (chat, slot), due in zip(missing, fired, strict=True)
        if not _is(due, _wanted(chat), scheduled=False)
    ]


def _armed(slot: Held | None, chat: Waiting) -> bool:
    """At its time, or a moment later when it was armed anew because a stale one had taken its place (`fsm/due.py`)."""
    return any(_is(slot, _wanted(chat, later), scheduled=True) for later in (timedelta(0), timedelta(microseconds=1)))


def _wanted(chat: Waiting, later: timedelta = timedelta(0)) -> Message:
    return timer_message(SetTimer(chat.deadline_at + later, ChatDeadline(chat.chat_id, chat.deadline_version)))


def _is(held: Held | None, wanted: Message, *, scheduled: bool) -> bool:
    if held is None or held.body != wanted.body:
        return False
    return not scheduled or held.headers.get(SCHEDULE) == (wanted.headers or {}).get(SCHEDULE)


def _fault(chat: Waiting, slot: Held | None) -> str:
    there = f"holds {slot.body.decode('utf-8', 'replace')} {slot.headers.get(SCHEDULE, '')}" if slot else "is empty"
    return f"waits until {chat.deadline_at.isoformat()}, set by version {chat.deadline_version}, but its slot {there}"
