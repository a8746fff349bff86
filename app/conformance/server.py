"""The NATS server that checks run on: one of our own, or a given one that nothing else uses."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js.errors import NotFoundError

from workspaced.app.embedded_nats import NatsServer
from workspaced.bus import streams, subjects
from workspaced.bus.connection import open_connection
from workspaced.fsm.errors import Conflict
from workspaced.provisioners.agent.config import NatsLogin

ROLES: Final = ("admin", "provisioner", "agent")


class Place(Struct, frozen=True):
    """Where checks run: the admin's connection, and how the program under test gets in."""

    admin: Client
    logins: dict[str, NatsLogin]
    folder: Path
    """For what the program keeps; gone afterwards."""

    def environ(self, role: str) -> dict[str, str]:
        """The login of `role` as our own programs and the examples read it."""
        login = self.logins[role]
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
            async with given_server(logins, tag, lease, Path(name)) as place:
                yield place


@asynccontextmanager
async def given_server(logins: dict[str, NatsLogin], tag: str, lease: timedelta, folder: Path) -> AsyncIterator[Place]:
    """A server that runs already; its streams are made. Raises Conflict when somebody uses it, Unavailable."""
    login = logins["admin"]
    admin = await open_connection(login.url, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix)
    try:
        await _refuse_used(admin)
        await streams.ensure(admin, (tag,), streams.Limits(job_lease=lease))
        yield Place(admin, logins, folder)
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
        kept = (await admin.jetstream().stream_info(subjects.EVENTS)).state.messages
    except NotFoundError:
        return
    if kept:
        raise Conflict(
            f"stream EVENTS of this NATS has {kept} messages; the checks need one that nobody else uses", code="in_use"
        )
