"""What an audit notes of the streams: how far inputs are acknowledged, which pushes and which jobs there are."""

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from workspaced.bus import streams, subjects
from workspaced.bus.headers import MESSAGE_ID
from workspaced.bus.look_up import acknowledged, next_of, stream_state, subjects_held
from workspaced.bus.stored import Stored
from workspaced.bus.subject_parser import ChatSubject, JobSubject, parse
from workspaced.bus.survey import headers_of
from workspaced.fsm.errors import UndecodableMessage
from workspaced.store.audit import AuditRows

UNLIMITED: Final = 2**62


class Streams(Struct, frozen=True):
    """Which pushes CHATS must hold, and whether TIMERS has a look at the queue of builds on its way."""

    pushes_since: datetime
    pushes_per_subject: int
    queue_is_looked_at: bool


async def note_streams(rows: AuditRows, admin: Client, tell: Callable[[str, int, int], None]) -> Streams:
    """Note it all, the acknowledged first: see `audit`. Raises Unavailable."""
    for stream in (streams.EVENTS, streams.TIMERS):
        done = await acknowledged(admin, stream, streams.ENGINE)
        await rows.note_acknowledged(stream, (await stream_state(admin, stream)).created, done)
    chats = await stream_state(admin, streams.CHATS)
    async with aclosing(headers_of(admin, streams.CHATS)) as pages:
        async for page in pages:
            await rows.note_pushes(push for stored in page if (push := _push(stored)) is not None)
            tell("pushes", page[-1].sequence if page else 0, chats.last_sequence)
    tell("pushes", chats.last_sequence, chats.last_sequence)
    async for held in subjects_held(admin, streams.JOBS, streams.SUBJECTS[streams.JOBS][0]):
        await rows.note_jobs(job for subject in held if (job := _job(subject)) is not None)
    await rows.noted()
    return Streams(chats.held_since, chats.per_subject or UNLIMITED, await _queue_is_looked_at(admin))


async def _queue_is_looked_at(admin: Client) -> bool:
    # The slot first: what is not in it any more has fired, and stays there until it is acknowledged.
    for subject in subjects.LOOKS_AT_QUEUE:
        if await next_of(admin, streams.TIMERS, subject, 1) is not None:
            return True
    return False


def _push(stored: Stored) -> tuple[str, int, str] | None:
    """(chat, version, state) of a message; None for one that is no push of ours, which nothing can be said about."""
    chat_id, _, version = stored.headers.get(MESSAGE_ID, "").partition(":")
    try:
        named = parse(stored.subject)
    except UndecodableMessage:
        return None
    if not isinstance(named, ChatSubject) or named.chat_id != chat_id or not version.isdecimal():
        return None
    return chat_id, int(version), named.state


def _job(subject: str) -> str | None:
    try:
        named = parse(subject)
    except UndecodableMessage:
        return None
    return named.job_id if isinstance(named, JobSubject) else None
