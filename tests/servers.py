"""Real servers for tests: clients by role, what the server refused them, databases of one test's own."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Final, Protocol, TypeVar

import asyncpg
import nkeys  # type: ignore[import-untyped]  # has no types
from nats.aio.client import Client
from nats.js.api import StreamInfo

from workspaced.app.credentials import Credentials, Role
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.bus.connection import flush, servers_of


class Startable(Protocol):
    """A server that is made first and started then."""

    async def start(self) -> None:
        """Returns when it answers."""

    async def stop(self) -> None:
        """Returns when it has ended."""


S = TypeVar("S", bound=Startable)


class Reachable(Protocol):
    """A server, or a cluster of them."""

    @property
    def url(self) -> str:
        """Where clients connect; several with commas between."""

    @property
    def credentials(self) -> Credentials:
        """Who they may be."""

    @property
    def roles(self) -> dict[str, Role]:
        """The same, by name."""


SHARED_AGENT: Final = "agent"
"""A standing role for tests that are not about logins: it speaks for all agents over one connection."""
_SHARED_AGENT: Final = """users: [ { user: agent, password: $NATS_AGENT_PASSWORD, permissions: {
          publish: [ "ws.event.*.agent.*.*", "$SYS.REQ.USER.INFO" ]
          subscribe: [ "ws.agent.*.>", "ws.resync", "ws.resync.*", "_INBOX_agent.>" ]
          allow_responses: { max: 1, expires: "1m" } } } ]
    """


Lost = Callable[[], Awaitable[None]]


class Connections:
    """Opens clients of one server as a role, and closes them all at the end of the test."""

    def __init__(self, server: Reachable) -> None:
        self.server = server
        self.refused: list[str] = []
        """The server's words for what was not allowed, oldest first, in lower case as nats-py has them."""
        self._clients: list[Client] = []

    async def __call__(self, role: str, name: str | None = None) -> Client:
        """A client of `role`, which comes back by itself when the server does."""
        who = self.server.credentials.role(role)
        return await self.login(who.user, who.password, who.inbox_prefix, name)

    async def login(
        self, user: str, password: str, inbox_prefix: str, name: str | None = None, on_lost: Lost | None = None
    ) -> Client:
        """A client of any user; with `on_lost`, which hears of its end, it does not come back.

        Raises as nats.connect when it may not come in.
        """
        client = Client()
        self._clients.append(client)
        await client.connect(
            servers_of(self.server.url),
            name=name,
            user=user,
            password=password,
            inbox_prefix=inbox_prefix.encode(),
            max_reconnect_attempts=-1 if on_lost is None else 1,
            allow_reconnect=on_lost is None,
            reconnect_time_wait=0.05,  # type: ignore[arg-type]  # parts of seconds are fine
            error_cb=self._note,
            closed_cb=on_lost,
        )
        return client

    async def by_nkey(self, seed: str, inbox_prefix: str) -> Client:
        """A client of the user whose nkey that is."""
        client = Client()
        self._clients.append(client)
        await client.connect(
            servers_of(self.server.url),
            nkeys_seed_str=seed,
            inbox_prefix=inbox_prefix.encode(),
            error_cb=self._note,
        )
        return client

    async def refusals(self, client: Client) -> list[str]:
        """What the server refused since the last call; it has read all that `client` sent until now."""
        await flush(client)
        refused, self.refused = self.refused, []
        return refused

    async def close(self) -> None:
        """Close every client, also one whose server is away."""
        for client in self._clients:
            await client.close()

    async def _note(self, error: Exception) -> None:
        if "permissions violation" in str(error):
            self.refused.append(str(error))


def server_with_shared_agent(
    folder: Path,
    *,
    arguments: Sequence[str] = (),
    accounts: str = "",
    users: str = "",
    names: tuple[str, ...] = (),
) -> NatsServer:
    """A server of `folder`, not started, with the shipped nats.conf and `SHARED_AGENT` in it.

    `accounts` are more accounts, `users` more users of account WS, as nats.conf has them, and `names` theirs.
    """
    text = (files("workspaced.app") / "nats.conf").read_text()
    for before, after in (
        ('exports: [ { service: "ws.agent.*.*"', _SHARED_AGENT + 'exports: [ { service: "ws.agent.*.*"'),
        ("admin, engine, chatd", ", ".join((SHARED_AGENT, *names, "admin, engine, chatd"))),
        ("\n  WS {\n", f"\n{accounts}  WS {{\n"),
        ("{ user: provisioner,", f"{users}{{ user: provisioner,"),
        ('"ws.timer.>", "ws.chat.>", "ws.org.*.chat.>", "ws.sys.>", ', ""),  # tests speak for everybody
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    folder.mkdir(exist_ok=True, parents=True)
    conf = folder / "nats.conf"
    conf.write_text(text)
    return NatsServer(folder, conf=conf, more_users=(SHARED_AGENT, *names), arguments=arguments)


@contextmanager
def running(make: Callable[[Path], S]) -> Iterator[S]:
    """The server that `make` makes of a folder of its own, started; ended after, and the folder is gone."""
    with tempfile.TemporaryDirectory(prefix="workspaced-") as name:
        server = make(Path(name))
        asyncio.run(server.start())
        yield server
        asyncio.run(server.stop())


async def remove_streams(server: Reachable) -> None:
    """Leave nothing of the last test in JetStream."""
    connections = Connections(server)
    try:
        stream_api = (await connections("admin")).jetstream()
        for info in await stream_api.streams_info():
            await stream_api.delete_stream(_name_of(info))
    finally:
        await connections.close()


@asynccontextmanager
async def fresh_database(postgres: PostgresServer, template: str = "template1") -> AsyncIterator[str]:
    """The DSN of a database of its own, a copy of `template` (to which nobody may be connected); dropped after."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres.dsn)
    try:
        await admin.execute(f"create database {name} template {template}")
        yield postgres.dsn_of(name)
    finally:
        with suppress(asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):  # the test ended the server
            await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


def _name_of(info: StreamInfo) -> str:
    name = info.config.name
    assert name is not None
    return name


def user_nkey() -> tuple[str, str]:
    """A fresh user key: its seed and its public half."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(seed).public_key.decode()
