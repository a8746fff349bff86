"""Asking JetStream's own API: makes streams and consumers at deployment, checks them at start.

Definitions go to the server as JSON, because the client library's `StreamConfig` knows no schedules. Making them needs
an administrator; an engine may only look, and says in one line what is wrong.
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from workspaced.bus import streams
from workspaced.bus.codec import decode
from workspaced.fsm.errors import Unavailable

OLDEST_SERVER: Final = (2, 12)
"""The first NATS server with scheduled messages."""
API_TIMEOUT: Final = timedelta(seconds=5)

_EXISTS_OTHERWISE: Final = 10058
_NO_STREAM: Final = 10059
_NO_CONSUMER: Final = 10014
_NO_JETSTREAM: Final = frozenset({10039, 10076})
_NO_JETSTREAM_TEXT: Final = "this NATS server has no JetStream for this account; start it with jetstream enabled"


class Refused(Unavailable):
    """The NATS server refused a request to its API."""

    def __init__(self, message: str, err_code: int) -> None:
        """`err_code` is JetStream's own number of the fault."""
        super().__init__(message)
        self.err_code = err_code


async def ensure(admin: Client, tags: tuple[str, ...] = (), limits: streams.Limits | None = None) -> None:
    """Make every stream and consumer, or bring those that exist to their definition; harmless to repeat.

    `tags` are those of provisioners, each of which gets its consumer on JOBS. Raises Unavailable with the reason.
    """
    chosen = limits or streams.Limits()
    for definition in streams.stream_definitions(chosen):
        name = definition["name"]
        try:
            await request(admin, f"STREAM.CREATE.{name}", definition)
        except Refused as error:
            if error.err_code != _EXISTS_OTHERWISE:
                raise
            await request(admin, f"STREAM.UPDATE.{name}", definition)
    for stream, config in streams.consumer_definitions(tags, chosen):
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
    for name in streams.SUBJECTS:
        info = await _look(engine, f"STREAM.INFO.{name}", f"stream {name}")
        epochs[name] = epoch(info["created"])
        if name == streams.TIMERS and not info["config"].get("allow_msg_schedules"):
            raise Unavailable(f"stream {name} takes no schedules; run `workspaced migrate`")
    for name in (streams.EVENTS, streams.TIMERS):
        await _look(engine, f"CONSUMER.INFO.{name}.{streams.ENGINE}", f"consumer {streams.ENGINE} of stream {name}")
    return epochs


async def is_served(engine: Client, tag: str) -> bool:
    """Whether jobs of the provisioners' `tag` have a consumer. Raises Unavailable when NATS does not answer."""
    try:
        await request(engine, f"CONSUMER.INFO.{streams.JOBS}.{tag}")
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
    try:
        reply = decode(answer.data, dict[str, Any])
    except ValueError as error:
        raise Unavailable(f"what answers $JS.API.{path} is no JetStream: {error}") from None
    if fault := reply.get("error"):
        raise Refused(f"NATS refused {path}: {fault.get('description')}", int(fault.get("err_code", 0)))
    return reply


def epoch(created: str) -> str:
    """A stream's time of creation, RFC 3339 with up to nine decimals, in base 36."""
    whole, _, rest = created.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return _base36(seconds * 1_000_000_000 + int(rest.ljust(9, "0")[:9]))


async def _look(connection: Client, path: str, what: str) -> dict[str, Any]:
    try:
        return await request(connection, path)
    except Refused as error:
        if error.err_code in {_NO_STREAM, _NO_CONSUMER}:
            raise Unavailable(f"NATS has no {what}; run `workspaced migrate`") from None
        raise


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
