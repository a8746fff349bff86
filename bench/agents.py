"""Agents that come in by the auth callout, each with the secret of a build of its own."""

import asyncio
import os
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error
from stack import Stack

from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.values import Connection

PATIENCE_S = 30

BUILDS = """
with template as (
    insert into workspaced.templates (id, organization_id, name, active_version_id)
    values ($1, $1, 'bench', $1) returning id
), version as (
    insert into workspaced.template_versions (id, template_id) values ($1, $1) returning id
), made as (
    insert into workspaced.workspaces (id, name, owner_id, owner_name, organization_id, template_id, created_at)
    select id, id::text, $1, 'ada', $1, $1, now() from unnest($2::uuid[]) as id returning id
)
insert into workspaced.builds (
    id, workspace_id, build_number, transition, job_id, requested_at, completed_at, provisioner, reported,
    agent_secret_hash
)
select b.id, b.workspace_id, 1, 'start', b.id, now(), now(), 'bench', 'succeeded', b.hash
from unnest($2::uuid[], $3::uuid[], $4::text[]) as b (workspace_id, id, hash)
"""
"""Finished ones: no engine has anything to do for them."""


class Invited(Struct, frozen=True):
    """An agent that may come in, and speak for itself."""

    id: str
    workspace: str
    owner: str
    """The id of the organization too."""
    password: str


async def invited(stack: Stack, count: int) -> list[Invited]:
    """So many, each of a workspace of its own; its id is its build's."""
    secrets = AgentSecrets(stack.servers.nats.credentials.agent_key)
    builds, workspaces = ([str(uuid4()) for _ in range(count)] for _ in range(2))
    hashes = [secrets.hash_of(build) for build in builds]
    database = await asyncpg.connect(stack.dsn)
    owner = str(uuid4())
    await database.execute(BUILDS, owner, workspaces, builds, hashes)
    await database.close()
    pairs = zip(builds, workspaces, strict=True)
    return [Invited(build, workspace, owner, f"{build}.{secrets.of(build)}") for build, workspace in pairs]


@asynccontextmanager
async def running_callout(stack: Stack) -> AsyncIterator[None]:
    """`workspaced callout`, a process of its own."""
    nats = stack.servers.nats
    environment = {
        "PATH": os.environ["PATH"],
        "NATS_URL": nats.url,
        "DATABASE_URL": stack.dsn,
        "WORKSPACED_PASSWORD": nats.credentials.role("callout").password,
        "WORKSPACED_CALLOUT_SEED": nats.credentials.callout_seed,
    }
    program = Path(sysconfig.get_path("scripts")) / "workspaced"
    process = await asyncio.create_subprocess_exec(program, "callout", "--user", "callout", env=environment)
    yield
    process.terminate()
    await process.wait()


async def come_in(stack: Stack, agent: Invited, on_closed: Callable[[], Awaitable[None]] | None = None) -> Client:
    """Its connection. Raises as nats.connect when it is refused."""
    client = Client()
    url, inbox = stack.servers.nats.url, f"_INBOX_{agent.id}".encode()
    login = {"user": agent.id, "password": agent.password, "inbox_prefix": inbox}
    await client.connect(url, **login, allow_reconnect=False, error_cb=_refused, closed_cb=on_closed)
    return client


async def first_in(stack: Stack, agent: Invited) -> Client:
    """The same, as soon as the callout answers: until then nobody is let in."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await come_in(stack, agent)
            except (Error, TimeoutError):
                continue


@asynccontextmanager
async def connected_agent(stack: Stack) -> AsyncIterator[Connection]:
    """A connection of the agents' account; whoever asks the server finds it there."""
    (agent,) = await invited(stack, 1)
    async with running_callout(stack):
        client = await first_in(stack, agent)
        if client.client_id is None:
            raise RuntimeError("the server gave no id")
        yield client._server_info["server_id"], client.client_id  # noqa: SLF001 - told nowhere else
        await client.close()


async def _refused(_error: Exception) -> None:
    """Expected until the callout answers."""
