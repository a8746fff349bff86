"""What an audit notes of the streams: how far inputs are acknowledged, which pushes and which jobs there are."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from workspaced.bus import subjects
from workspaced.bus.direct import Kept, read
from workspaced.bus.headers import MESSAGE_ID
from workspaced.bus.look_up import acknowledged, stream_state, subjects_held
from workspaced.fsm.errors import UndecodableMessage
from workspaced.store.audit import AuditRows

PAGE: Final = 1000
UNLIMITED: Final = 2**62


class Streams(Struct, frozen=True):
    """Which pushes CHATS must hold."""

    pushes_since: datetime
    pushes_per_subject: int


async def note_streams(rows: AuditRows, admin: Client, tell: Callable[[str, int, int], None]) -> Streams:
    """Note it all, the acknowledged first: see `audit`. Raises Unavailable."""
    for stream in (subjects.EVENTS, subjects.TIMERS):
        done = await acknowledged(admin, stream, subjects.ENGINE)
        await rows.note_acknowledged(stream, (await stream_state(admin, stream)).created, done)
    chats = await stream_state(admin, subjects.CHATS)
    after = chats.first_sequence - 1
    while after < chats.last_sequence:
        tell("pushes", after, chats.last_sequence)
        page = await read(admin, subjects.CHATS, subjects.ALL_CHATS, after, PAGE)
        if not page.kept:  # what was last is not there any more
            break
        await rows.note_pushes(push for kept in page.kept if (push := _push(kept)) is not None)
        after = page.kept[-1].sequence
    tell("pushes", chats.last_sequence, chats.last_sequence)
    async for held in subjects_held(admin, subjects.JOBS, subjects.ALL_JOBS):
        await rows.note_jobs(job for subject in held if (job := _job(subject)) is not None)
    await rows.noted()
    return Streams(chats.held_since, chats.per_subject or UNLIMITED)


def _push(kept: Kept) -> tuple[str, int, str] | None:
    """(chat, version, state) of a message; None for one that is no push of ours, which nothing can be said about."""
    chat_id, _, version = kept.headers.get(MESSAGE_ID, "").partition(":")
    try:
        named = subjects.parse(kept.subject)
    except UndecodableMessage:
        return None
    if not isinstance(named, subjects.ChatSubject) or named.chat_id != chat_id or not version.isdecimal():
        return None
    return chat_id, int(version), named.state


def _job(subject: str) -> str | None:
    try:
        named = subjects.parse(subject)
    except UndecodableMessage:
        return None
    return named.job_id if isinstance(named, subjects.JobSubject) else None
