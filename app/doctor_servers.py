"""The doctor's questions to running servers."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error as NatsError

from workspaced.app.doctor import MIGRATE, OF_THE_STACK, Check
from workspaced.app.doctor_provisioners import check_provisioners
from workspaced.app.sources import Sources
from workspaced.bus import jetstream
from workspaced.bus.codec import decode
from workspaced.bus.connection import open_connection, servers_of
from workspaced.bus.lasting_client import LastingClient
from workspaced.bus.room import NEARLY_FULL, drops_deadlines, shares_used
from workspaced.fsm.errors import WorkspacedError
from workspaced.store.migrations import check_schema
from workspaced.store.pool import connect

PATIENCE: Final = timedelta(seconds=3)
CALLOUT_PATIENCE: Final = timedelta(seconds=8)
"""Short of the ten seconds that nats.conf gives a callout, after which NATS refuses by itself."""
OWN: Final = frozenset({"nats", "jetstream", "engine", "callout", "database"})
"""What a local stack brings back by itself."""


async def check_servers(sources: Sources, tag: str | None) -> AsyncGenerator[Check, None]:
    """NATS with streams, consumers and an engine; who lets agents in; provisioners; Postgres with its schema.

    Of provisioners those of `tag`; None: of every tag that a job waits for, and a local stack's own. Agents with a
    standing user (`agent_password`) need nobody to let them in. What a local stack lacks comes back by itself, so no
    step of one's own is told for it.
    """
    async with aclosing(_checks(sources, tag)) as checks:
        async for check in checks:
            heals = not check.ok and check.name in OWN and sources.runs_locally
            yield replace(check, next=OF_THE_STACK) if heals else check


async def _checks(sources: Sources, tag: str | None) -> AsyncGenerator[Check, None]:
    try:
        # The engine's permissions suffice for all that is asked, and those of an administrator do too.
        login = sources.login("engine")
        nats = await open_connection(
            login.url,
            **login.options(),
            name="workspaced doctor",
            limit=PATIENCE,
        )
    except WorkspacedError as error:
        yield Check("nats", ok=False, detail=str(error), next="start the server, or mend NATS_URL and its credentials")
    else:
        try:
            version = nats.connected_server_version
            yield Check("nats", ok=True, detail=f"version {version.major}.{version.minor}.{version.patch} answers")
            yield await _streams(nats)
            yield await _room(nats)
            yield await _engine(sources)
            if not sources.is_given("agent_password"):
                yield await _callout(sources)
            async with aclosing(check_provisioners(nats, tag, local=sources.runs_locally)) as checks:
                async for check in checks:
                    yield check
        finally:
            await nats.close()
    yield await _database(sources)


async def _streams(nats: Client) -> Check:
    try:
        epochs = await jetstream.check(nats)
    except WorkspacedError as error:
        return Check("jetstream", ok=False, detail=str(error), next=f"run `{MIGRATE}` as role admin")
    return Check("jetstream", ok=True, detail=f"streams {', '.join(epochs)}, consumers of the engine")


async def _room(nats: Client) -> Check:
    """How full the streams are; TIMERS can only drop what is oldest, and that may be somebody's wake-up."""
    try:
        limited = await drops_deadlines(nats)
    except WorkspacedError as error:
        return Check("room", ok=False, detail=str(error), next="see jetstream")
    if limited:
        hint = f"take the limit away: `{MIGRATE}` does"
        return Check("room", ok=False, detail="stream TIMERS has a limit, and would drop deadlines for it", next=hint)
    shares = await shares_used(nats)
    full = [f"{stream} is {share:.0%} full" for stream, share in shares.items() if share >= NEARLY_FULL]
    hint = "raise the limit or shorten the age; docs/outages.md tells what a full stream does"
    return Check(
        "room", ok=not full, detail=", ".join(full) or "no stream is near its limits", next=hint if full else ""
    )


async def _engine(sources: Sources) -> Check:
    """Ask the service by ADR-32, as any client would, and count who answers within a moment."""
    hint = "start one: `workspaced serve`"
    login = sources.login("inspector")
    try:
        nats = await open_connection(login.url, **login.options(), limit=PATIENCE)
    except WorkspacedError as error:
        return Check("engine", ok=False, detail=str(error), next=hint)
    try:
        began = time.monotonic()
        answer = await nats.request("$SRV.PING.workspaced", timeout=PATIENCE.total_seconds())
        took_ms = (time.monotonic() - began) * 1000
        told = decode(answer.data, dict[str, Any])
    except (NatsError, TimeoutError, ValueError) as error:
        return Check("engine", ok=False, detail=f"nobody answers $SRV.PING ({type(error).__name__})", next=hint)
    finally:
        await nats.close()
    return Check("engine", ok=True, detail=f"{told.get('name')} {told.get('version')} answers in {took_ms:.1f} ms")


async def _callout(sources: Sources) -> Check:
    """Knock once as an agent that nobody knows: a callout has it refused, without one NATS waits for its word."""
    login = sources.login("inspector")
    stranger = replace(login, user=str(uuid4()), password=str(uuid4()), nkey_seed=None)
    faults: list[Exception] = []

    async def note(error: Exception) -> None:
        faults.append(error)

    nats, began = LastingClient(), time.monotonic()
    try:
        async with asyncio.timeout(CALLOUT_PATIENCE.total_seconds()):
            await nats.connect(servers_of(login.url), allow_reconnect=False, error_cb=note, **stranger.options())
    except (NatsError, OSError, TimeoutError) as error:
        faults.append(error)
    finally:
        await nats.close()
    if any("authorization" in str(fault).lower() for fault in faults):
        took_ms = (time.monotonic() - began) * 1000
        return Check("callout", ok=True, detail=f"a stranger is refused within {took_ms:.1f} ms")
    hint = "start one: `workspaced callout`"
    return Check("callout", ok=False, detail="nobody has a word on agents, and no new one gets in", next=hint)


async def _database(sources: Sources) -> Check:
    try:
        connection = await connect(sources.database_url())
    except WorkspacedError as error:
        return Check("database", ok=False, detail=str(error), next="start the server, or mend DATABASE_URL")
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await check_schema(connection)
    except WorkspacedError as error:
        what, _, hint = str(error).partition("; ")
        return Check("database", ok=False, detail=what, next=hint or f"run `{MIGRATE}`")
    except TimeoutError:
        return Check("database", ok=False, detail="Postgres does not answer", next="see what keeps it, or restart it")
    finally:
        await connection.close(timeout=PATIENCE.total_seconds())
    version = connection.get_server_version()
    return Check("database", ok=True, detail=f"Postgres {version.major}.{version.micro}, its schema is current")
