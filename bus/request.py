"""One request to the engine's API, repeated while nobody answers."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from typing import Final, TypeVar

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from workspaced.bus import subjects
from workspaced.bus.codec import decode, encode
from workspaced.bus.faults import error_in
from workspaced.bus.lasting_client import LastingClient
from workspaced.bus.trace import trace_header
from workspaced.fsm.errors import BadRequest, Unavailable, WorkspacedError

T = TypeVar("T")

PAUSE: Final = timedelta(seconds=0.25)
"""Before the second attempt; doubled before each further one."""


class Patience(Struct, frozen=True):
    """How long a client asks: each attempt up to `timeout`, `attempts` in all."""

    timeout: timedelta = timedelta(seconds=5)
    attempts: int = 3


async def request(
    connection: Client, verb: str, message: object, kind: type[T], patience: Patience, tenant: str | None = None
) -> T:
    """The answer to `message`, decoded as `kind`; sent again, unchanged, after 503 and when nobody answers.

    Sending again is harmless: a command is known by its request_id. It goes to `tenant`'s subjects, if one is given.
    Raises what the engine raised, Unavailable when no attempt was answered, and Forbidden at once when NATS does not
    let this user ask.
    """
    subject = subjects.api(verb, tenant)
    try:
        body = encode(message)
    except UnicodeEncodeError:  # half of a surrogate pair, as a model may write it in JSON
        raise BadRequest("a text in this request is no text in UTF-8") from None
    pause = PAUSE.total_seconds()
    for attempt in range(1, patience.attempts + 1):
        try:
            return await _once(connection, subject, body, kind, patience.timeout.total_seconds())
        except Unavailable:
            if attempt == patience.attempts:
                raise
        await asyncio.sleep(pause)
        pause *= 2
    raise Unavailable


async def _once(connection: Client, subject: str, body: bytes, kind: type[T], seconds: float) -> T:
    verb = subject.rpartition(".api.")[2]
    try:
        async with refusal_of(connection, subject):
            answer = await connection.request(subject, body, timeout=seconds, headers=trace_header() or None)
    except NoRespondersError:
        raise Unavailable("no workspaced engine is running; start one and try again") from None
    except (NatsError, OSError, TimeoutError) as error:  # over a plain client what is not permitted ends here too
        raise Unavailable(
            f"no answer to {verb} within {seconds:g} s ({type(error).__name__}); try again with the same request_id"
        ) from None
    if fault := error_in(answer):
        raise fault
    try:
        return decode(answer.data, kind)
    except ValueError as error:
        raise WorkspacedError(f"the answer to {verb} is not what this client expects", detail=str(error)) from None


def refusal_of(connection: Client, subject: str) -> AbstractAsyncContextManager[None]:
    """Forbidden as soon as the server refuses `subject`; nothing over a client that does not listen for it."""
    return connection.refusals.raised(subject) if isinstance(connection, LastingClient) else nullcontext()
