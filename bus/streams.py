"""The streams and durable consumers: what they are, making them at deployment, checking them at start.

Definitions go to the server as JSON, because the client library's `StreamConfig` knows no schedules. Making them needs
an administrator; an engine may only look, and says in one line what is wrong.
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from workspaced.bus import subjects
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.log_bounds import LOG_MESSAGES
from workspaced.fsm.errors import Unavailable

OLDEST_SERVER: Final = (2, 12)
"""The first NATS server with scheduled messages."""
API_TIMEOUT: Final = timedelta(seconds=5)

_EXISTS_OTHERWISE: Final = 10058
_NO_STREAM: Final = 10059
_NO_CONSUMER: Final = 10014
_NO_JETSTREAM: Final = frozenset({10039, 10076})


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
    ack_wait: timedelta = timedelta(seconds=30)
    """How long an engine may hold an input: the time until another engine takes over from a dead one."""
    max_ack_pending: int = 10_000
    """Inputs that all engines together may hold: forty batches."""
    job_lease: timedelta = timedelta(seconds=30)


class Refused(Unavailable):
    """The NATS server refused a request to its API."""

    def __init__(self, message: str, err_code: int) -> None:
        """`err_code` is JetStream's own number of the fault."""
        super().__init__(message)
        self.err_code = err_code


async def ensure(admin: Client, tags: tuple[str, ...] = (), limits: Limits | None = None) -> None:
    """Make every stream and consumer, or bring those that exist to their definition; harmless to repeat.

    `tags` are those of provisioners, each of which gets its consumer on JOBS. Raises Unavailable with the reason.
    """
    chosen = limits or Limits()
    for definition in stream_definitions(chosen):
        name = definition["name"]
        try:
            await request(admin, f"STREAM.CREATE.{name}", definition)
        except Refused as error:
            if error.err_code != _EXISTS_OTHERWISE:
                raise
            await request(admin, f"STREAM.UPDATE.{name}", definition)
    for stream, config in consumer_definitions(tags, chosen):
        path = f"CONSUMER.CREATE.{stream}.{config['name']}"
        if "filter_subject" in config:
            path += f".{config['filter_subject']}"
        await request(admin, path, {"stream_name": stream, "config": config})


async def check(engine: Client) -> dict[str, str]:
    """The epoch of each stream by name, once server, streams and the engine's consumers are what they should be.

    Needs no more than the engine's permissions. Raises Unavailable with one line that says what is missing.
    """
    version = engine.connected_server_version
    if (version.major, version.minor) < OLDEST_SERVER:
        wanted = ".".join(map(str, OLDEST_SERVER))
        raise Unavailable(
            f"NATS server {version.major}.{version.minor}.{version.patch} is too old; {wanted} or newer is needed"
        )
    try:
        await request(engine, "INFO")
    except Refused as error:
        if error.err_code in _NO_JETSTREAM:
            raise Unavailable(_NO_JETSTREAM_TEXT) from None
        raise
    epochs = {}
    for name in subjects.STREAM_SUBJECTS:
        info = await _look(engine, f"STREAM.INFO.{name}", f"stream {name}")
        epochs[name] = epoch(info["created"])
        if name == subjects.TIMERS and not info["config"].get("allow_msg_schedules"):
            raise Unavailable(f"stream {name} takes no schedules; run `workspaced migrate`")
    for name in (subjects.EVENTS, subjects.TIMERS):
        await _look(engine, f"CONSUMER.INFO.{name}.{subjects.ENGINE}", f"consumer {subjects.ENGINE} of stream {name}")
    return epochs


async def is_served(engine: Client, tag: str) -> bool:
    """Whether jobs of the provisioners' `tag` have a consumer. Raises Unavailable when NATS does not answer."""
    try:
        await request(engine, f"CONSUMER.INFO.{subjects.JOBS}.{tag}")
    except Refused as error:
        if error.err_code == _NO_CONSUMER:
            return False
        raise
    return True


async def request(connection: Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer of `$JS.API.<path>`. Raises Refused when the server says no, Unavailable when nobody answers."""
    payload = json.dumps(body).encode() if body else b""
    try:
        answer = await connection.request(f"$JS.API.{path}", payload, timeout=API_TIMEOUT.total_seconds())
    except NoRespondersError:
        raise Unavailable(_NO_JETSTREAM_TEXT) from None
    except (NatsError, TimeoutError, OSError) as error:
        raise Unavailable(
            f"NATS does not answer $JS.API.{path}; is it running, and may this user ask? ({type(error).__name__})"
        ) from None
    reply: dict[str, Any] = json.loads(answer.data)
    if fault := reply.get("error"):
        raise Refused(f"NATS refused {path}: {fault.get('description')}", int(fault.get("err_code", 0)))
    return reply


def epoch(created: str) -> str:
    """A stream's time of creation, RFC 3339 with up to nine decimals, in base 36."""
    whole, _, rest = created.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return _base36(seconds * 1_000_000_000 + int(rest.ljust(9, "0")[:9]))


def stream_definitions(limits: Limits) -> list[dict[str, Any]]:
    """The six streams as JetStream's API takes them."""
    shared = {"storage": "file", "num_replicas": limits.replicas, "duplicate_window": _ns(timedelta(minutes=2))}
    queue = {"retention": "workqueue"}
    special: dict[str, dict[str, Any]] = {
        subjects.EVENTS: {
            "max_age": _ns(limits.events_age),
            "max_bytes": limits.events_bytes,
            "max_msg_size": MAX_BODY,
            "discard": "new",  # a limit must not drop what nobody has decided; engines make room (`bus/room.py`)
        },
        # A work queue, so that a fired timer leaves when it is acknowledged while schedules stay; no age, for a TTL may
        # lie years ahead. A redelivered input sets its timer again, and that must not replace a newer one.
        subjects.TIMERS: queue
        | {"allow_msg_schedules": True, "allow_msg_ttl": True, "duplicate_window": _ns(timedelta(minutes=10))},
        # An input that is redelivered late publishes its job again.
        subjects.JOBS: queue | {"discard": "new", "duplicate_window": _ns(timedelta(hours=1))},
        subjects.LOGS: {
            "max_age": _ns(limits.logs_age),
            "max_bytes": limits.logs_bytes,
            "max_msgs_per_subject": LOG_MESSAGES,
            "max_msg_size": MAX_BODY,
            "allow_direct": True,
        },
        subjects.CHATS: {
            "max_msgs_per_subject": limits.chats_per_subject,
            "max_bytes": limits.chats_bytes,
            "allow_direct": True,
        },
        subjects.DEAD: {"max_age": _ns(limits.dead_age), "allow_direct": True},
    }
    return [
        {"name": name, "subjects": list(of), "retention": "limits"} | shared | special[name]
        for name, of in subjects.STREAM_SUBJECTS.items()
    ]


def consumer_definitions(tags: tuple[str, ...], limits: Limits) -> list[tuple[str, dict[str, Any]]]:
    """(stream, consumer) for the engines and for each provisioner's tag; `max_deliver` -1, for outages may be long."""
    engine = _consumer(subjects.ENGINE, limits.ack_wait, limits.max_ack_pending)
    return [
        (subjects.EVENTS, engine),  # no filter: a filtered consumer is a quarter slower
        (subjects.TIMERS, engine | {"filter_subject": subjects.ALL_DUE}),
        *(
            (
                subjects.JOBS,
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


async def _look(connection: Client, path: str, what: str) -> dict[str, Any]:
    try:
        return await request(connection, path)
    except Refused as error:
        if error.err_code in {_NO_STREAM, _NO_CONSUMER}:
            raise Unavailable(f"NATS has no {what}; run `workspaced migrate`") from None
        raise


_NO_JETSTREAM_TEXT = "this NATS server has no JetStream for this account; start it with jetstream enabled"


def _ns(span: timedelta) -> int:
    return span // timedelta(microseconds=1) * 1000


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
