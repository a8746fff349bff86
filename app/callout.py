"""The auth callout as a program: it lets agents in with their build's secret, and turns them out."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from msgspec import Struct

from workspaced.app.clock import utc_now
from workspaced.app.given import BadSetting
from workspaced.bus.auth_jwt import Signer
from workspaced.bus.callout import Callout
from workspaced.bus.connection import open_connection
from workspaced.fsm.errors import WorkspacedError
from workspaced.provisioners.agent.config import NatsLogin
from workspaced.store.logins import Logins

AGAIN: Final = timedelta(seconds=1)
"""Between attempts to find who was revoked while NATS or Postgres was away."""

_log = logging.getLogger(__name__)


class CalloutConfig(Struct, frozen=True):
    """All that a callout is told."""

    nats: NatsLogin
    database_url: str
    seed: str
    agent_login: timedelta = timedelta(hours=24)
    pool_size: int = 4
    statement_cache_size: int = 100


@asynccontextmanager
async def running_callout(config: CalloutConfig) -> AsyncIterator[None]:
    """Agents get in while this is entered. Raises WorkspacedError when it cannot start."""
    try:
        signer = Signer(config.seed)
    except ValueError as error:
        raise BadSetting(f"WORKSPACED_CALLOUT_SEED: {error}") from None
    logins = Logins(config.database_url, pool_size=config.pool_size, statement_cache_size=config.statement_cache_size)
    behind = asyncio.Event()

    async def note() -> None:
        behind.set()

    await logins.open()
    try:
        connection = await open_connection(
            config.nats.url, name="workspaced-callout", on_reconnected=note, **config.nats.options()
        )
        try:
            callout = Callout(connection, logins, signer, clock=utc_now, lifetime=config.agent_login, behind=behind)
            await callout.start()
            _log.info("letting agents in")
            catching_up = asyncio.create_task(_catch_up(callout, behind))
            try:
                yield
            finally:
                catching_up.cancel()
                await asyncio.wait([catching_up])
                await callout.stop()
        finally:
            await connection.close()
    finally:
        await logins.close()


async def _catch_up(callout: Callout, behind: asyncio.Event) -> None:
    """Revocations are not kept for whoever is cut off from NATS or from Postgres: ask for them afterwards."""
    while True:
        await behind.wait()
        behind.clear()
        try:
            await callout.catch_up()
        except WorkspacedError as error:  # whatever it is: ended by it, this would never turn anybody out again
            _log.warning("revoked agents stay until they can be found: %s", error)
            behind.set()
            await asyncio.sleep(AGAIN.total_seconds())
