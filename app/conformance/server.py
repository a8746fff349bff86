"""The NATS server that checks run on: one of our own, or a given one that nothing else uses."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from workspaced.app.clock import utc_now
from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.auth_jwt import Signer
from workspaced.bus.callout import Callout
from workspaced.bus.connection import open_connection
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.errors import Conflict
from workspaced.fsm.values import Connection
from workspaced.provisioners.agent.config import NatsLogin

ROLES: Final = ("admin", "provisioner")
LOGIN: Final = timedelta(hours=1)
"""How long an agent's login holds; longer than all checks take."""


class Guest(Struct, frozen=True):
    """An agent that was let in; none is turned out."""

    workspace_id: str
    former: tuple[Connection, ...] = ()


class Door:
    """Lets agents in by the secrets of builds that we made up: the callout's doorkeeper without a database."""

    def __init__(self) -> None:
        self.secrets = AgentSecrets(uuid4().hex)
        self.builds: dict[str, str] = {}
        """Workspaces by build."""
        self.keeper: Client | None = None
        """As user callout, who may end connections."""
        self.callout: Callout | None = None

    def open_for(self, workspace_id: str, build_id: str) -> str:
        """The secret of a build's agents, who may come in from now on."""
        self.builds[build_id] = workspace_id
        return self.secrets.of(build_id)

    async def admit(self, build_id: str, secret_hash: str, agent_id: str, connection: Connection) -> Guest | None:  # noqa: ARG002  # the protocol's
        """Whoever has the secret of a build."""
        known = build_id in self.builds and secret_hash == self.secrets.hash_of(build_id)
        return Guest(self.builds[build_id]) if known else None

    async def revoked(self, workspace_id: str | None = None) -> list[Connection]:  # noqa: ARG002  # the protocol's
        """Nobody."""
        return []

    async def throw_out(self, server_id: str, client_id: int) -> None:
        """End a connection."""
        if self.keeper is not None:
            await self.keeper.request(subjects.kick(server_id), json.dumps({"cid": client_id}).encode(), timeout=10)

    def let_in_for(self, lifetime: timedelta) -> None:
        """Logins from now on hold for so long."""
        if self.callout is not None:
            self.callout.lifetime = lifetime

    async def forget(self, connections: list[Connection]) -> None:
        """Nothing is kept."""


class Place(Struct, frozen=True):
    """Where checks run: the admin's connection, and how the program under test gets in."""

    admin: Client
    logins: dict[str, NatsLogin]
    door: Door
    """Of our own server; on a given one its own callout lets agents in."""
    folder: Path
    """For what the program keeps; gone afterwards."""

    def environ(self, role: str) -> dict[str, str]:
        """The login of `role` as our own programs and the examples read it."""
        return environ_of(self.logins[role])


def environ_of(login: NatsLogin) -> dict[str, str]:
    """A login as variables."""
    return {
        "NATS_URL": login.url,
        "WORKSPACED_USER": login.user or "",
        "WORKSPACED_PASSWORD": login.password or "",
        "WORKSPACED_INBOX_PREFIX": login.inbox_prefix,
    }


@asynccontextmanager
async def own_server(tag: str, lease: timedelta) -> AsyncIterator[Place]:
    """A fresh server with the shipped configuration, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="workspaced-conformance-") as name:
        async with NatsServer(Path(name, "D")) as server:
            roles = {role: server.roles[role] for role in ROLES}
            logins = {
                role: NatsLogin(server.url, who.user, who.password, who.inbox_prefix) for role, who in roles.items()
            }
            async with _connected(logins["admin"]) as admin:
                place = Place(admin, logins, Door(), Path(name))
                await jetstream.ensure(admin, (tag,), streams.Limits(job_lease=lease))
                async with _callout(server, place.door):
                    yield place


@asynccontextmanager
async def _callout(server: NatsServer, door: Door) -> AsyncIterator[None]:
    who = server.credentials.role("callout")
    connection = await open_connection(server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix)
    signer = Signer(server.credentials.callout_seed)
    callout = Callout(connection, door, signer, clock=utc_now, lifetime=LOGIN)
    door.keeper, door.callout = connection, callout
    try:
        await callout.start()
        yield
        await callout.stop()
    finally:
        await connection.close()


@asynccontextmanager
async def given_server(logins: dict[str, NatsLogin], tag: str, lease: timedelta) -> AsyncIterator[Place]:
    """A server that runs already, left as it was: streams that were not there are gone afterwards, others are empty.

    Raises Conflict when somebody uses it, Unavailable.
    """
    async with _connected(logins["admin"]) as admin:
        await _refuse_used(admin)
        before = {stream.config.name for stream in await admin.jetstream().streams_info()}
        await jetstream.ensure(admin, (tag,), streams.Limits(job_lease=lease))
        try:
            with tempfile.TemporaryDirectory(prefix="workspaced-conformance-") as name:
                yield Place(admin, logins, Door(), Path(name))
        finally:
            for name in streams.SUBJECTS:
                with suppress(jetstream.Refused):  # the checks were ended while it was away
                    await jetstream.request(admin, f"STREAM.{'PURGE' if name in before else 'DELETE'}.{name}")


@asynccontextmanager
async def _connected(login: NatsLogin) -> AsyncIterator[Client]:
    admin = await open_connection(login.url, **login.options())
    try:
        yield admin
    finally:
        await admin.close()


async def _refuse_used(admin: Client) -> None:
    """The checks write what an engine writes and remove streams: that is no game to play beside a real one."""
    try:
        await admin.request("$SRV.PING.workspaced", b"", timeout=1)
    except (NoRespondersError, TimeoutError):
        pass
    else:
        raise Conflict("an engine runs on this NATS; the checks need one that nobody else uses", code="in_use")
    try:
        info = await admin.jetstream().stream_info(streams.EVENTS, subjects_filter=subjects.ALL_ADVISORIES)
    except NotFoundError:
        return
    if kept := info.state.messages - sum((info.state.subjects or {}).values()):  # whoever connects leaves an advisory
        raise Conflict(
            f"stream EVENTS of this NATS has {kept} messages; the checks need one that nobody else uses", code="in_use"
        )
