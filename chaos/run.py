"""Hundreds of chats while everything is killed, stopped, restarted, doubled and delayed; at the end nothing is amiss.

`make chaos SECONDS=600 SEED=1`: the seed alone decides which faults happen when. Ends with the audit and a table.
"""

import argparse
import asyncio
import itertools
import shutil
import sys
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import asyncpg
from chats import Chats
from faults import Injector
from fleet import DEADLINES, admin_login, programs
from nats.aio.client import Client
from network import Apart, Place, move_apart, reachable
from plan import schedule

from workspaced.app.audit import audit
from workspaced.app.config import settings_of
from workspaced.app.embedded import Servers, embedded_servers
from workspaced.app.sources import Sources
from workspaced.bus import jetstream, streams
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import open_connection
from workspaced.fsm.errors import Unavailable
from workspaced.store.migrations import migrate

QUIET_LIMIT = 240
"""Seconds in which everything must have come to rest after the last fault; deadlines are far shorter."""
UNSETTLED = """
select (select count(*) from workspaced.chats where deadline_at is not null)
     + (select count(*) from workspaced.builds where completed_at is null and error = '')
"""


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)


async def settle(dsn: str, admin: Client) -> bool:
    """Wait until no chat waits, no build is unfinished and no input is in hand; false when that takes too long.

    What is in hand the audit would leave alone.
    """
    until = time.monotonic() + QUIET_LIMIT
    connection = await asyncpg.connect(dsn)
    try:
        while time.monotonic() < until:
            if await connection.fetchval(UNSETTLED) == 0 and await in_hand(admin) == 0:
                return True
            await asyncio.sleep(1)
        return False
    finally:
        await connection.close()


async def in_hand(admin: Client) -> int:
    """How many inputs are not acknowledged."""
    consumers = [
        await admin.jetstream().consumer_info(name, streams.ENGINE) for name in (streams.EVENTS, streams.TIMERS)
    ]
    return sum((consumer.num_pending or 0) + (consumer.num_ack_pending or 0) for consumer in consumers)


async def prepare(servers: Servers, client: Client) -> None:
    """Schema, streams, and consumers with a short lease and a short wait for a dead engine's messages."""
    await migrate(servers.postgres.dsn)
    limits = streams.Limits(ack_wait=timedelta(seconds=10), job_lease=timedelta(seconds=6))
    await jetstream.ensure(client, ("chaos",), limits)


async def chaos(seconds: float, seed: int, count: int, engines: int, a_minute: float, *, apart: bool) -> int:
    """One run; the number of violations. `apart`: this process is in a network namespace of its own."""
    faults = schedule(seed, seconds, a_minute)
    folder = Path(tempfile.mkdtemp(prefix="workspaced-chaos-"))
    folder.chmod(0o755)  # noqa: ASYNC240 - once, before anything runs; Postgres is not root and must get through
    async with AsyncExitStack() as stack:
        servers = await start_servers(stack, folder / "stack", apart=apart)
        login = admin_login(servers)
        admin = await open_connection(servers.nats.url, **login)
        stack.push_async_callback(admin.close)
        await prepare(servers, admin)
        places = (
            Apart(servers, number) if apart else Place(servers.nats.url, servers.postgres.dsn)
            for number in itertools.count()
        )
        fleet = programs(servers, places, folder, seed, engines)
        for program in (program for kind in fleet.values() for program in kind):
            await program.place.open()
            stack.push_async_callback(program.place.close)
            await program.start()
            stack.push_async_callback(program.kill)
            keeper = asyncio.create_task(program.keep())
            stack.callback(keeper.cancel)
        client = await stack.enter_async_context(await WorkspacedClient.connect(servers.nats.url, **login))
        chats = await first_chats(client, seed, count)
        injector = Injector(servers, admin, fleet, seed)
        await injector.start()
        stack.push_async_callback(injector.stop)
        say(f"{count} chats, {engines} engines, {len(faults)} faults in {seconds:.0f} s, seed {seed}")
        living = asyncio.create_task(chats.run())
        await injector.run(faults)
        chats.end()
        await living
        say("the last fault is over; waiting for rest")
        violations = await judge(servers.postgres.dsn, admin, chats, injector)
    say(f"{violations} violations; logs in {folder.name}")
    if not violations:
        shutil.rmtree(folder, ignore_errors=True)
    return violations


async def start_servers(stack: AsyncExitStack, folder: Path, *, apart: bool) -> Servers:
    """Both servers, which answer; ended with `stack`."""
    if not apart:
        return await stack.enter_async_context(embedded_servers(folder))
    servers = reachable(folder)
    await stack.enter_async_context(servers.nats)
    await stack.enter_async_context(servers.postgres)
    return servers


async def first_chats(client: WorkspacedClient, seed: int, count: int) -> Chats:
    """The chats, and the template that they ask for."""
    organization = str(uuid.UUID(int=seed, version=4))
    template = {"organization_id": organization, "name": "chaos", "provisioner": "chaos"}
    return Chats(client, seed, count, organization, await put_template(client, template))


async def judge(dsn: str, admin: Client, chats: Chats, injector: Injector) -> int:
    """Once everything is at rest: the audit, and the table; how many violations there are."""
    rested = await settle(dsn, admin)
    looked_at: dict[str, int] = {}
    found = await audit(
        dsn,
        admin,
        tell=lambda what, done, _: looked_at.update({what: done}),
        left_out=lambda why, parts, _: looked_at.update({f"replay left out, for {why}": parts}),
        defaults=settings_of(Sources({}, DEADLINES)),
    )
    report(
        {
            "faults injected": injector.injected,
            "faults left out": injector.left_out,
            "messages": injector.meddled,
            "wishes": chats.outcomes,
            "rows": await figures(dsn),
            "audited": looked_at,
        }
    )
    for violation in found:
        say(f"VIOLATION {violation}")
    if not rested:
        say("VIOLATION it did not come to rest")
    return len(found) + (not rested)


async def put_template(client: WorkspacedClient, template: dict[str, str]) -> str:
    """Its id, as soon as an engine answers."""
    for _ in range(20):
        try:
            return (await client.put_template(template)).template.id
        except Unavailable:
            continue
    raise RuntimeError("no engine answers")


async def figures(dsn: str) -> dict[str, int]:
    """How much happened."""
    connection = await asyncpg.connect(dsn)
    tables = ("chats", "workspaces", "builds", "transitions", "stale", "departures")
    counted = {name: await connection.fetchval(f"select count(*) from workspaced.{name}") for name in tables}  # noqa: S608 - constants
    await connection.close()
    return counted


def report(titled: dict[str, dict[str, int]]) -> None:
    """The table at the end."""
    for title, counted in titled.items():
        say(f"\n{title}")
        for name, times in sorted(counted.items()):
            say(f"  {times:7d}  {name}")
    say("")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chats", type=int, default=300)
    parser.add_argument("--engines", type=int, default=3)
    parser.add_argument("--faults-a-minute", type=float, default=25)
    chosen = parser.parse_args()
    if refused := move_apart():
        say(f"no network namespaces here, so no link is cut: {refused}")
    run = chaos(chosen.seconds, chosen.seed, chosen.chats, chosen.engines, chosen.faults_a_minute, apart=not refused)
    sys.exit(min(1, asyncio.run(run)))
