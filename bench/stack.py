"""Servers and engines of a benchmark: file-backed JetStream, Postgres with fsync on, engines as own processes."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from workspaced.app.config import ServeConfig
from workspaced.app.embedded import Servers
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.bus import jetstream
from workspaced.bus.connection import open_connection
from workspaced.store.migrations import migrate

ENGINE = Path(__file__).with_name("engine.py")
UNLIMITED, UNLIMITED_AGENT = "unlimited", "unlimited_agent"
"""Users beside those of nats.conf, in the account of the engine and in that of agents: they may say anything."""


@dataclass
class Stack:
    """What a measurement works with."""

    folder: Path
    servers: Servers
    admin: Client
    engines: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """The database's."""
        return self.servers.postgres.dsn

    def pids(self) -> dict[str, int]:
        """Of the first engine and both servers."""
        return {
            "engine": self.engines[0].pid,
            "postgres": self.servers.postgres.pid,
            "nats": self.servers.nats.pid,
        }

    async def start_engine(self, *, believing: bool = False, tenants: bool = False) -> asyncio.subprocess.Process:
        """One more engine, as a process of its own; it answers when this returns.

        One that is `believing` checks nobody's identity, and NATS does not check what it says. With `tenants` it tells
        each organization of its chats too.
        """
        role = self.servers.nats.roles[UNLIMITED if believing else "engine"]
        config = ServeConfig(
            nats_url=self.servers.nats.url,
            database_url=self.dsn,
            user=role.user,
            password=role.password,
            inbox_prefix=role.inbox_prefix,
            http_port=0,
            tenants=tenants,
        )
        process = await started([sys.executable, "-P", str(ENGINE), *(["believing"] * believing)], config)
        self.engines.append(process)
        return process

    async def stop_engines(self) -> None:
        """End them cleanly."""
        for process in self.engines:
            process.terminate()
            await process.wait()
        self.engines.clear()

    async def kill_engines(self) -> None:
        """End them as a power cut would."""
        for process in self.engines:
            process.kill()
            await process.wait()
        self.engines.clear()


async def started(argv: Sequence[str], plan: Struct) -> asyncio.subprocess.Process:
    """A program that was given its plan and said that it is up. Raises RuntimeError when it ended instead."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    process.stdin.write(msgspec.json.encode(plan) + b"\n")
    if not await process.stdout.readline():
        raise RuntimeError(f"{argv[-1]} ended with {await process.wait()}")
    return process


@asynccontextmanager
async def running_stack(engines: int = 1) -> AsyncIterator[Stack]:
    """Both servers in a folder of their own, the schema, the streams, and so many engines."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workspaced-bench-")))
        folder.chmod(0o755)  # noqa: ASYNC240 - Postgres does not run as root; its own user must get through
        nats = NatsServer(folder, conf=_with_the_unlimited(folder), more_users=(UNLIMITED, UNLIMITED_AGENT))
        servers = Servers(*[await stack.enter_async_context(server) for server in (nats, PostgresServer(folder))])
        await migrate(servers.postgres.dsn)
        role = servers.nats.roles["admin"]
        admin = await open_connection(
            servers.nats.url, user=role.user, password=role.password, inbox_prefix=role.inbox_prefix
        )
        stack.push_async_callback(admin.close)
        await jetstream.ensure(admin, ("bench",))
        running = Stack(folder, servers, admin)
        stack.push_async_callback(running.stop_engines)
        for _ in range(engines):
            await running.start_engine()
        yield running


def _with_the_unlimited(folder: Path) -> Path:
    """The shipped nats.conf with two more users."""
    text = (files("workspaced.app") / "nats.conf").read_text()
    first, second = (
        f"{{ user: {name}, password: $NATS_{name.upper()}_PASSWORD }}" for name in (UNLIMITED, UNLIMITED_AGENT)
    )
    for before, after in (
        ("auth_users: [", f"auth_users: [ {UNLIMITED}, {UNLIMITED_AGENT},"),
        ("{ user: engine,", f"{first}\n      {{ user: engine,"),
        ('exports: [ { service: "ws.agent.*.*"', f'users: [ {second} ]\n    exports: [ {{ service: "ws.agent.*.*"'),
    ):
        if text.count(before) != 1:
            raise RuntimeError(before)
        text = text.replace(before, after)
    conf = folder / "nats.conf"
    conf.write_text(text)
    return conf


async def call(client: Client, verb: str, body: object) -> dict[str, object]:
    """A request to the engine. Raises RuntimeError for an error."""
    answer = await client.request(f"ws.api.{verb}", json.dumps(body).encode(), timeout=30)
    reply: dict[str, object] = json.loads(answer.data)
    if "error" in reply:
        raise RuntimeError(reply)
    return reply


def machine() -> dict[str, object]:
    """The machine a run was made on, without its name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "unknown")
    memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    load = os.getloadavg()[0]
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": memory,
        "python": sys.version.split()[0],
        "load_before": round(load, 2),
    }
