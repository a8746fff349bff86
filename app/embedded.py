"""Both servers of one folder D, for one `workspaced up` at a time."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.app.server_process import ServerFailed


@dataclass(frozen=True)
class Servers:
    """The two running servers."""

    nats: NatsServer
    postgres: PostgresServer


@contextmanager
def sole_owner(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. Raises `ServerFailed` when another one that lives has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerFailed(
                f"a stack already runs in {folder}: use it, or choose another folder with --dir", code="in_use"
            ) from None
        yield


@asynccontextmanager
async def embedded_servers(folder: Path) -> AsyncIterator[Servers]:
    """Both servers of `folder`, answering; ended again on the way out.

    What an earlier owner left behind after a SIGKILL is ended first; data, secrets and ports are taken over.
    """
    with sole_owner(folder):
        async with NatsServer(folder) as nats, PostgresServer(folder) as postgres:
            yield Servers(nats, postgres)
