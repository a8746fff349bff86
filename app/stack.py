"""A whole stack in one process and one folder: both servers, an engine, a local provisioner (wire.md section 7)."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from workspaced.app.callout import running_callout
from workspaced.app.config import callout_config, patience, provisioner_config, serve_config, stream_limits
from workspaced.app.connection import TAG, Connection, remove_connection, write_connection
from workspaced.app.credentials import CALLOUT
from workspaced.app.embedded import Servers, embedded_servers
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.app.first_template import put_first_template
from workspaced.app.identity import Identity, load_identity
from workspaced.app.run_loop import first_of
from workspaced.app.serve import Server
from workspaced.app.server_process import ServerFailed
from workspaced.app.sole_provisioner import sole_provisioner
from workspaced.app.sources import Sources
from workspaced.bus import jetstream
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.provisioners.agent.config import NatsLogin
from workspaced.provisioners.local.program import run_provisioner
from workspaced.store.migrations import migrate

RESTARTS: Final = 5
STABLE_S: Final = 60.0
"""A server that ends is started again this often; one that ran for a minute starts counting anew."""

_log = logging.getLogger(__name__)


class Stack(Struct, frozen=True):
    """A stack that answers."""

    folder: Path
    connection: Connection
    identity: Identity
    template: str
    """The name of a template to begin with."""
    servers: Servers
    parts: tuple[asyncio.Task[None], ...]

    def login(self, role: str) -> NatsLogin:
        """How `role` connects."""
        return _login(self.connection.nats_url, self.servers, role)

    async def failed(self) -> None:
        """Wait until a part ends by itself, which it only does for a fault; that is raised."""
        done, _ = await asyncio.wait(self.parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()


async def hold_stack(
    sources: Sources,
    stopping: asyncio.Event,
    told: Callable[[Stack], None],
    tags: Sequence[str] = (),
    *,
    provisioner: bool = True,
) -> None:
    """Run a stack until `stopping`; `told` hears when it answers. One that still starts is given up at once.

    Raises WorkspacedError when it cannot start, and when a part of it ends.
    """
    answers = asyncio.Event()

    async def hold() -> None:
        async with running_stack(sources, tags, provisioner=provisioner) as stack:
            answers.set()
            told(stack)
            await first_of(stopping.wait(), stack.failed())

    holding = asyncio.create_task(hold())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([holding, stop], return_when=asyncio.FIRST_COMPLETED)
    if not answers.is_set():
        holding.cancel()
    stop.cancel()
    with suppress(asyncio.CancelledError):
        await holding


@asynccontextmanager
async def running_stack(
    sources: Sources, tags: Sequence[str] = (), *, provisioner: bool = True
) -> AsyncIterator[Stack]:
    """A stack of the sources' folder, told in its connection.json while it answers; nothing of it is left afterwards.

    `tags` get a job queue, besides the one of the local provisioner. Raises WorkspacedError when it cannot start.
    """
    folder = sources.folder
    _log.info("starting both servers in %s", folder)
    async with AsyncExitStack() as ending:
        servers = await ending.enter_async_context(embedded_servers(folder))
        remove_connection(folder)  # of one that was killed
        identity = load_identity(folder)
        url, dsn = servers.nats.url, servers.postgres.dsn
        await migrate(dsn)
        admin = _login(url, servers, "admin")
        client = await WorkspacedClient.connect(url, **admin.options(), patience=patience(sources))
        ending.push_async_callback(client.close)
        await jetstream.ensure(client.connection, tuple(dict.fromkeys((TAG, *tags))), stream_limits(sources))
        # Ended last to first: the engine before the agents, so that the next stack finds chats that are ready and takes
        # their agents up again, instead of chats that failed while nobody was there.
        parts = [asyncio.create_task(_keep_running(server)) for server in (servers.nats, servers.postgres)]
        ending.push_async_callback(_cancel, parts)
        if provisioner:
            parts.append(_provision(sources, servers, ending))
        keys = servers.nats.credentials
        door = callout_config(sources, login=_login(url, servers, CALLOUT), database_url=dsn, seed=keys.callout_seed)
        await ending.enter_async_context(running_callout(door))
        serving = serve_config(sources, _login(url, servers, "engine"), dsn, own_port=True)
        engine = Server(replace(serving, agent_key=serving.agent_key or keys.agent_key))
        await engine.start()
        ending.push_async_callback(engine.stop)
        parts.append(asyncio.create_task(engine.failed()))
        template = await put_first_template(client, identity.organization_id)
        connection = Connection(url, dsn, engine.http_url, os.getpid(), servers.nats.roles)
        write_connection(folder, connection)
        ending.callback(remove_connection, folder)
        yield Stack(folder, connection, identity, template, servers, tuple(parts))


def _provision(sources: Sources, servers: Servers, ending: AsyncExitStack) -> asyncio.Task[None]:
    config = provisioner_config(
        sources,
        tag=TAG,
        login=_login(servers.nats.url, servers, "provisioner"),
        agent_login=NatsLogin(servers.nats.url),
        end_agents=True,
    )
    ending.enter_context(sole_provisioner(config.root))
    stopping = asyncio.Event()

    async def work() -> None:
        await run_provisioner(config, stopping)

    working = asyncio.create_task(work())

    async def end() -> None:
        stopping.set()
        await asyncio.wait([working])

    ending.push_async_callback(end)
    return working


async def _keep_running(server: NatsServer | PostgresServer) -> None:
    """Start a server again that somebody killed. Raises ServerFailed when it does not stay."""
    deaths = 0
    while True:
        since = time.monotonic()
        code = await server.ended()
        deaths = 1 if time.monotonic() - since > STABLE_S else deaths + 1
        if deaths > RESTARTS:
            raise ServerFailed(f"{type(server).__name__} ends again and again, the last time with code {code}")
        _log.warning("%s ended with code %s; starting it again", type(server).__name__, code)
        await server.start()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _login(url: str, servers: Servers, role: str) -> NatsLogin:
    known = servers.nats.credentials.role(role)
    return NatsLogin(url, known.user, known.password, known.inbox_prefix)
