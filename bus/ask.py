"""A command's way from the API through the stream to whichever engine decides it, and the answer's way back.

The command is on EVENTS before anybody waits, so it survives the engine that took it. The answer comes to this
process's own inbox, sent after the commit by the engine that decided.
"""

import asyncio
import time
from datetime import timedelta
from typing import Final
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg

from workspaced.bus import subjects
from workspaced.bus.codec import MAX_BODY, decode_command, encode
from workspaced.bus.faults import encode_error, error_in
from workspaced.bus.headers import ORGANIZATION, REPLY
from workspaced.bus.messages import Reply
from workspaced.bus.publish import Message, NotStored, Publisher, with_id
from workspaced.bus.trace import trace_header
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import BadRequest, ErrorBody, Unavailable

TIME_LIMIT: Final = timedelta(seconds=2)
LATELY: Final = timedelta(seconds=5)
"""What became of the last command says nothing of now, later than that."""
QUEUED: Final = encode(Reply("queued", None))
_TOO_LARGE: Final = 10054


class Asker:
    """Takes commands on one connection; a waiting one holds a future, for two seconds at most."""

    def __init__(self, connection: Client, publisher: Publisher, time_limit: timedelta = TIME_LIMIT) -> None:
        self._connection = connection
        self._publisher = publisher
        self._time_limit = time_limit.total_seconds()
        self._inbox = connection.new_inbox()
        self._next = 0
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._refused, self._refused_at = "", 0.0

    @property
    def refused(self) -> str:
        """Why EVENTS did not take the last command; empty when it did, or when that is long ago."""
        return self._refused if time.monotonic() - self._refused_at < LATELY.total_seconds() else ""

    async def start(self) -> None:
        """Subscribe to the inbox of all answers."""
        await self._connection.subscribe(
            f"{self._inbox}.*", cb=self._on_answer, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def ask(self, verb: str, body: bytes, tenant: str | None = None) -> bytes:
        """The reply to a command, JSON of `Reply`; `queued` when nobody has decided it within the time limit.

        `tenant` is the organization that its sender is limited to, which the engine that decides it goes by.
        Raises BadRequest for a bad body, Unavailable when EVENTS did not take it, and whatever refused the command.
        """
        command = decode_command(body, COMMANDS[verb])
        self._next += 1
        inbox = f"{self._inbox}.{self._next}"
        # The id is fresh each time: a repeated request is recognised by its request_id, in the store, at any time.
        limited = {ORGANIZATION: tenant} if tenant else {}
        headers = with_id(str(uuid4())) | {REPLY: inbox} | limited | trace_header()
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[inbox] = answer
        try:
            await self._publish(Message(subjects.command(command.chat_id, verb), body, headers))
            async with asyncio.timeout(self._time_limit):
                message = await answer
        except TimeoutError:
            return QUEUED
        finally:
            del self._waiting[inbox]
        if error := error_in(message):
            raise error
        return message.data

    async def _publish(self, message: Message) -> None:
        try:
            await self._publisher.publish([message])
        except NotStored as error:
            if any(refusal.err_code == _TOO_LARGE for refusal in error.refusals):
                raise BadRequest(f"the body is too large; {MAX_BODY} bytes with headers", code="too_large") from None
            self._refused, self._refused_at = error.reason, time.monotonic()
            raise Unavailable("NATS did not take the command; try again with the same request_id") from error
        self._refused = ""

    async def _on_answer(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject)
        if answer is not None and not answer.done():  # a redelivered command is answered again
            answer.set_result(message)


def reply_message(reply_to: str, reply: Reply) -> Message:
    """The answer to a command, for the engine to send after the commit."""
    return Message(reply_to, encode(reply), answered=False)


def refusal_message(reply_to: str, status: int, error: ErrorBody) -> Message:
    """The refusal of a command, for the engine to send after the commit."""
    body, headers = encode_error(status, error)
    return Message(reply_to, body, headers, answered=False)
