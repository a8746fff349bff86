"""A connection in the agents' account, let in by the callout: what the agents of chats that wait are said to be on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
from callout import AGENTS, callout, end
from nats.aio.client import Client
from nats.errors import Error
from stack import Stack

from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.values import Connection

PATIENCE_S = 30


@asynccontextmanager
async def connected_agent(stack: Stack) -> AsyncIterator[Connection]:
    """The connection of a build's agent; whoever asks the server finds it there."""
    nats, build = stack.servers.nats, str(uuid4())
    secrets = AgentSecrets(nats.credentials.agent_key)
    database = await asyncpg.connect(stack.dsn)
    await database.execute(AGENTS, str(uuid4()), [str(uuid4())], [build], [secrets.hash_of(build)])
    await database.close()
    login = {"user": build, "password": f"{build}.{secrets.of(build)}", "allow_reconnect": False}
    responder, client = await callout(nats, stack.dsn), Client()
    async with asyncio.timeout(PATIENCE_S):
        while not client.is_connected:  # nobody is let in until the callout answers
            try:
                await client.connect(nats.url, **login, error_cb=_not_yet)
            except (Error, TimeoutError):
                client = Client()
    if client.client_id is None:
        raise RuntimeError("the server gave no id")
    yield client._server_info["server_id"], client.client_id  # noqa: SLF001 - told nowhere else
    await client.close()
    await end(responder)


async def _not_yet(_error: Exception) -> None:
    """Refusals are expected until the callout answers."""
