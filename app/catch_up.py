"""After Postgres was restored to an earlier moment: what NATS keeps and the database does not know is said again.

The engine's consumer will not bring it again, for it was acknowledged. Facts are merged by monotone rules and commands
are known by their `request_id`, so saying too much does no harm.
"""

from contextlib import aclosing
from datetime import datetime
from typing import Final

from nats.aio.client import Client

from workspaced.app.recovery import EPOCHS
from workspaced.bus import headers, streams
from workspaced.bus.decode import decode
from workspaced.bus.publish import Message, Publisher, with_id
from workspaced.bus.stored import Stored
from workspaced.bus.survey import headers_of
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import ConnectionLost
from workspaced.store.postgres import PostgresStore

_OURS: Final = (headers.SERVER_PREFIX, headers.REPLY)


async def catch_up(store: PostgresStore, admin: Client, since: datetime) -> int:
    """Say again what EVENTS stored since then and no row tells of; how many messages that are. Raises Unavailable.

    The next engine that starts takes the streams for new ones: it arms every deadline, queues jobs that nobody took,
    and asks everybody to tell again. What the NATS server says of connections is not said again; engines ask it.
    """
    publisher = Publisher(admin)
    await publisher.start()
    said = 0
    async with aclosing(headers_of(admin, streams.EVENTS, bodies=True)) as pages:
        async for page in pages:
            told = [stored for stored in page if stored.at >= since and _says_something(stored)]
            known = await store.known_inputs([stored.key for stored in told])
            unknown = [stored for stored in told if stored.key not in known]
            await publisher.publish([_again(stored) for stored in unknown])
            said += len(unknown)
    await store.put_mark(EPOCHS, "")
    return said


def _says_something(stored: Stored) -> bool:
    try:
        item = decode(stored)
    except UndecodableMessage:
        return False
    return item is not None and not isinstance(item.payload, ConnectionLost)


def _again(stored: Stored) -> Message:
    own = {name: value for name, value in stored.headers.items() if not name.startswith(_OURS)}
    return Message(stored.subject, stored.body, own | with_id(f"caught-up/{stored.key}"))
