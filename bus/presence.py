"""Which agents are connected right now, asked of the servers themselves.

A server that dies announces no disconnects, so the stream alone does not know. An engine asks on its start, on its own
reconnect and when an unknown server shows up, and settles the links that are gone.
"""

from datetime import timedelta
from typing import Final

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from workspaced.bus import subjects
from workspaced.bus.codec import decode, encode
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.values import Connection

_PAGE: Final = 1024
FIRST_ANSWER: Final = timedelta(seconds=5)
LAST_ANSWER: Final = timedelta(seconds=0.5)
"""After the last answer: nobody tells how many servers a cluster has, so silence ends the round."""


class _Peer(Struct):
    cid: int


class _Connections(Struct):
    total: int = 0
    offset: int = 0
    connections: list[_Peer] = []


class _Server(Struct):
    id: str


class _Answer(Struct):
    server: _Server
    data: _Connections


class Presence(Struct, frozen=True):
    """The servers that answered, and every connection of an agent on them."""

    servers: frozenset[str]
    connections: frozenset[Connection]

    def gone(self, connection: Connection) -> bool:
        """Whether it is over: its server does not list it, or does not answer any more."""
        return connection not in self.connections


async def ask_presence(connection: Client, last_answer: timedelta = LAST_ANSWER) -> Presence:
    """Who is connected, on all servers of the cluster. Takes `last_answer` longer than the slowest server.

    Raises Unavailable when no server answers.
    """
    servers: set[str] = set()
    found: set[Connection] = set()
    offset, more = 0, True
    while more:
        answers = await _ask(connection, offset, last_answer)
        for answer in answers:
            servers.add(answer.server.id)
            found.update((answer.server.id, peer.cid) for peer in answer.data.connections)
        offset += _PAGE
        more = any(answer.data.total > offset for answer in answers)
    return Presence(frozenset(servers), frozenset(found))


async def _ask(connection: Client, offset: int, last_answer: timedelta) -> list[_Answer]:
    subscription = await connection.subscribe(connection.new_inbox())
    try:
        page = encode({"auth": True, "limit": _PAGE, "offset": offset})
        await connection.publish(subjects.AGENTS_CONNECTED, page, reply=subscription.subject)
        answers = [decode((await subscription.next_msg(FIRST_ANSWER.total_seconds())).data, _Answer)]
        try:
            while True:
                message = await subscription.next_msg(last_answer.total_seconds())
                answers.append(decode(message.data, _Answer))
        except TimeoutError:
            return answers
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        raise Unavailable(f"no NATS server tells who is connected ({type(error).__name__})") from None
    finally:
        await subscription.unsubscribe()
