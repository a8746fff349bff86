"""Both servers of one folder D, for one `workspaced up` at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.app.folder_lock import sole_holder
from workspaced.app.server_process import ServerFailed


@dataclass(frozen=True)
class Servers:
    """The two running servers."""

    nats: NatsServer
    postgres: PostgresServer


@asynccontextmanager
async def embedded_servers(folder: Path) -> AsyncIterator[Servers]:
    """Both servers of `folder`, answering; ended again on the way out.

    What an earlier owner left behind after a SIGKILL is ended first; data, secrets and ports are taken over. Raises
    ServerFailed when another stack that lives has the folder.
    """
    busy = f"a stack already runs in {folder}: use it, or choose another folder with --dir"
    with sole_holder(folder, ServerFailed(busy, code="in_use")):
        async with NatsServer(folder) as nats, PostgresServer(folder) as postgres:
            yield Servers(nats, postgres)
