"""Agents that come in by the auth callout, with their build's secret and what they hear and lose."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from nats.errors import Error

from tests.e2e.provisioner import LIMIT, Agent, Body
from tests.e2e.stack import Stack
from workspaced.app.callout import CalloutConfig, running_callout
from workspaced.bus.streams import SUBJECTS
from workspaced.provisioners.agent.config import NatsLogin

if TYPE_CHECKING:
    from nats.aio.client import Client


@asynccontextmanager
async def a_callout(stack: Stack, agent_login: timedelta = timedelta(hours=1), *, dsn: str = "") -> AsyncIterator[None]:
    """The service that lets agents in; `dsn`: another way to Postgres."""
    who = stack.server.credentials.role("callout")
    login = NatsLogin(stack.server.url, who.user, who.password, who.inbox_prefix)
    seed = stack.server.credentials.callout_seed
    async with running_callout(CalloutConfig(login, dsn or stack.dsn, seed, agent_login)):
        yield


class Secretive(Agent):
    """An agent on a connection that the callout let in."""

    def __init__(self, connection: "Client", server_id: str, job: Body, agent_id: str, lost: asyncio.Event) -> None:
        super().__init__(connection, server_id, job, agent_id)
        self._lost = lost

    async def dropped(self) -> None:
        """Wait until the server ends the connection."""
        async with asyncio.timeout(LIMIT):
            await self._lost.wait()


async def come_in(stack: Stack, job: Body, agent_id: str | None = None, secret: str | None = None) -> Secretive:
    """An agent of a job. Raises nats.errors.Error when it may not come in."""
    agent_id, lost = agent_id or str(uuid4()), asyncio.Event()

    async def note() -> None:
        lost.set()

    password = f"{job['build_id']}.{job['agent_secret'] if secret is None else secret}"
    connection = await stack.connect.login(agent_id, password, f"_INBOX_{agent_id}", on_lost=note)
    info = json.loads((await connection.request("$SYS.REQ.USER.INFO", b"", timeout=LIMIT)).data)
    return Secretive(connection, info["server"]["id"], job, agent_id, lost)


async def is_refused(stack: Stack, job: Body, agent_id: str | None = None, secret: str | None = None) -> bool:
    """Whether the server turns it away."""
    try:
        await come_in(stack, job, agent_id, secret)
    except (Error, TimeoutError) as error:  # without a callout the server lets it wait
        return isinstance(error, TimeoutError) or "uthorization" in str(error)
    return False


async def all_stored(stack: Stack) -> set[tuple[str, int, str]]:
    """Every message of every stream."""
    return {(name, kept.sequence, kept.subject) for name in SUBJECTS for kept in await stack.stored(name)}


def places(chat_id: str, workspace_id: str) -> list[str]:
    """Where whoever wants to do harm would have an answer go: into every stream, and to whoever obeys."""
    return [
        f"ws.cmd.{chat_id}.delete",
        f"ws.event.{workspace_id}.job.failed",
        "ws.sys.disconnect",
        f"ws.timer.chat.{chat_id}",
        f"ws.timer.ttl.{workspace_id}",
        f"ws.due.chat.{chat_id}",
        f"ws.chat.{chat_id}.failed",
        f"ws.job.local.{uuid4()}",
        f"ws.log.{workspace_id}.{uuid4()}",
        "ws.dead.x",
        "ws.api.settings.put",
        f"ws.revoke.{workspace_id}",
        "$JS.API.STREAM.PURGE.EVENTS",
        "$JS.API.STREAM.DELETE.JOBS",
    ]
