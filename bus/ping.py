"""The dial that needs nothing but NATS: `ws.agent.<agent_id>.ping` (domain.md 8.1)."""

from datetime import timedelta
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from workspaced.bus import subjects
from workspaced.bus.attempt import Connector, Release
from workspaced.bus.codec import decoder
from workspaced.bus.dial_errors import DialError
from workspaced.bus.messages import Pong

PING_LIMIT: Final = timedelta(minutes=5)
"""Longer than any dial: whoever dials has a limit of their own."""


def ping_connector(connection: Client) -> Connector[Pong]:
    """Dials by asking the agent where it stands; there is nothing to release."""

    async def ping(agent_id: str) -> tuple[Pong, Release]:
        try:
            answer = await connection.request(subjects.ping(agent_id), b"{}", timeout=PING_LIMIT.total_seconds())
        except NoRespondersError:
            raise DialError("the workspace agent is not connected") from None
        except (NatsError, OSError) as error:
            raise DialError(f"the workspace agent does not answer ({type(error).__name__})") from None
        try:
            return decoder(Pong).decode(answer.data), _nothing
        except ValueError:
            raise DialError("what answers in the workspace agent's name is no agent") from None

    return ping


async def _nothing() -> None:
    pass
