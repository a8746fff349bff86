"""Publishing that ends only when the stream has the message: what provisioners and agents report must not get lost."""

import asyncio
from uuid import uuid4

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, Error, MaxPayloadError
from nats.js.errors import APIError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
ACK_LIMIT = 5.0
"""Seconds: the pauses between attempts, and how long one attempt waits for the stream's word."""

BAD_REQUEST = 400


async def publish_until_stored(nc: Client, subject: str, body: bytes, message_id: str | None = None) -> None:
    """Publish `body` and return when its stream has stored it; tries for ever, with back-off, while NATS is away.

    Every attempt has the same message id, so that the stream keeps one of them (deduplication window: 2 min). Raises
    ConnectionClosedError when `nc` is closed for good and `Error` for what no repetition helps: a body too large.
    """
    headers = {"Nats-Msg-Id": message_id or str(uuid4())}
    pause = FIRST_PAUSE
    while True:
        try:
            await nc.jetstream().publish(subject, body, timeout=ACK_LIMIT, headers=headers)
        except (ConnectionClosedError, MaxPayloadError):
            raise
        except APIError as error:
            if error.code == BAD_REQUEST:  # the stream refuses this very message: too large for it
                raise
        except (Error, OSError):
            pass  # away, reconnecting, no stream yet, no word in time
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
