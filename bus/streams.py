"""The streams and their durable consumers, as data: names, subjects, definitions (design.md section 3)."""

from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from workspaced.bus import subjects
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.log_bounds import LOG_MESSAGES

EVENTS: Final = "EVENTS"
TIMERS: Final = "TIMERS"
JOBS: Final = "JOBS"
LOGS: Final = "LOGS"
CHATS: Final = "CHATS"
DEAD: Final = "DEAD"
ENGINE: Final = "engine"
"""The durable consumer of EVENTS and of TIMERS, shared by all engines."""

SUBJECTS: Final = {
    EVENTS: ("ws.cmd.>", "ws.event.>", "ws.sys.*"),
    TIMERS: ("ws.timer.>", "ws.due.>"),
    JOBS: (subjects.ALL_JOBS,),
    LOGS: ("ws.log.>",),
    CHATS: ("ws.chat.>",),
    DEAD: ("ws.dead.>",),
}
"""What each stream keeps; no subject is of two of them."""


def stream_of(subject: str) -> str | None:
    """The stream that keeps messages of `subject`; None when none does."""
    kept = ((stream, each.rstrip(">*")) for stream, of in SUBJECTS.items() for each in of)
    return next((stream for stream, beginning in kept if subject.startswith(beginning)), None)


class Limits(Struct, frozen=True):
    """What an operator may choose; every field has a sound default."""

    replicas: int = 1
    events_age: timedelta = timedelta(days=7)
    """How long events wait for an engine. Postgres may be away for as long."""
    logs_age: timedelta = timedelta(days=7)
    dead_age: timedelta = timedelta(days=30)
    chats_per_subject: int = 10_000
    """Announcements kept per (chat, state). There is no age: it would drop the last one too (wire.md section 3)."""
    events_bytes: int = -1
    logs_bytes: int = -1
    chats_bytes: int = -1
    dead_bytes: int = -1
    ack_wait: timedelta = timedelta(seconds=30)
    """How long an engine may hold an input: the time until another engine takes over from a dead one."""
    max_ack_pending: int = 10_000
    """Inputs that all engines together may hold: forty batches."""
    job_lease: timedelta = timedelta(seconds=30)


def stream_definitions(limits: Limits) -> list[dict[str, Any]]:
    """The six streams as JetStream's API takes them."""
    shared = {"storage": "file", "num_replicas": limits.replicas, "duplicate_window": _ns(timedelta(minutes=2))}
    queue = {"retention": "workqueue"}
    special: dict[str, dict[str, Any]] = {
        EVENTS: {
            "max_age": _ns(limits.events_age),
            "max_bytes": limits.events_bytes,
            "max_msg_size": MAX_BODY,
            "discard": "new",  # a limit must not drop what nobody has decided; engines make room (`bus/room.py`)
        },
        # A work queue, so that a fired timer leaves when it is acknowledged while schedules stay; no age, for a TTL may
        # lie years ahead. A redelivered input sets its timer again, and that must not replace a newer one.
        TIMERS: queue
        | {"allow_msg_schedules": True, "allow_msg_ttl": True, "duplicate_window": _ns(timedelta(minutes=10))},
        # An input that is redelivered late publishes its job again.
        JOBS: queue | {"discard": "new", "duplicate_window": _ns(timedelta(hours=1))},
        LOGS: {
            "max_age": _ns(limits.logs_age),
            "max_bytes": limits.logs_bytes,
            "max_msgs_per_subject": LOG_MESSAGES,
            "max_msg_size": MAX_BODY,
            "allow_direct": True,
        },
        CHATS: {
            "max_msgs_per_subject": limits.chats_per_subject,
            "max_bytes": limits.chats_bytes,
            "allow_direct": True,
        },
        DEAD: {"max_age": _ns(limits.dead_age), "max_bytes": limits.dead_bytes, "allow_direct": True},
    }
    return [
        {"name": name, "subjects": list(of), "retention": "limits"} | shared | special[name]
        for name, of in SUBJECTS.items()
    ]


def consumer_definitions(tags: tuple[str, ...], limits: Limits) -> list[tuple[str, dict[str, Any]]]:
    """(stream, consumer) for the engines and for each provisioner's tag; `max_deliver` -1, for outages may be long."""
    engine = _consumer(ENGINE, limits.ack_wait, limits.max_ack_pending)
    return [
        (EVENTS, engine),  # no filter: a filtered consumer is a quarter slower
        (TIMERS, engine | {"filter_subject": subjects.ALL_DUE}),
        *(
            (
                JOBS,
                _consumer(tag, limits.job_lease, limits.max_ack_pending) | {"filter_subject": subjects.jobs_of(tag)},
            )
            for tag in tags
        ),
    ]


def _consumer(name: str, ack_wait: timedelta, max_ack_pending: int) -> dict[str, Any]:
    return {
        "name": name,
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": _ns(ack_wait),
        "max_ack_pending": max_ack_pending,
        "max_deliver": -1,
    }


def _ns(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000
