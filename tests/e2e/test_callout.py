"""Agents come in by their build's secret, and go when there is a newer build (issue 6, ADR-26)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.e2e.hostile import a_callout, come_in, is_refused
from tests.e2e.provisioner import an_agent
from tests.e2e.proxy import dsn_by, proxied, way_in
from tests.e2e.stack import LIMIT, Stack
from workspaced.app.clock import utc_now
from workspaced.app.embedded_postgres import PostgresServer
from workspaced.bus.agent_client import AgentClient
from workspaced.bus.auth_jwt import Signer
from workspaced.bus.callout import Callout
from workspaced.fsm.agent_secret import hashed
from workspaced.fsm.values import Connection
from workspaced.store import pool
from workspaced.store.logins import Admission, Logins

SHORT_LOGIN = timedelta(seconds=2)


class Overtaken(Logins):
    """A build begins while a login is noted, and whoever hears of that looks before the login can be seen."""

    def __init__(self, dsn: str, begin: Callable[[], Awaitable[None]]) -> None:
        super().__init__(dsn)
        self._begin = begin
        self._looked = asyncio.Event()

    async def admit(self, build_id: str, secret_hash: str, agent_id: str, connection: Connection) -> Admission | None:
        """Noted, and answered when the revocation was heard."""
        admitted = await super().admit(build_id, secret_hash, agent_id, connection)
        await self._begin()
        async with asyncio.timeout(LIMIT):
            await self._looked.wait()
        return admitted

    async def revoked(self, workspace_id: str | None = None) -> list[Connection]:
        """The first who looks at a workspace finds nobody yet."""
        if workspace_id is not None and not self._looked.is_set():
            self._looked.set()
            return []
        return await super().revoked(workspace_id)


async def test_an_agent_comes_in_before_its_build_is_done(stack: Stack) -> None:
    """The secret alone proves the build; what the agent reports counts once it is announced."""
    await stack.engine()
    chat_id = str(uuid4())
    async with a_callout(stack):
        reply = await stack.create(chat_id)
        job = await stack.provisioner.job(reply.build_id)
        agent = await come_in(stack, job)
        await agent.get_ready()
        await stack.provisioner.tell(job, "running", worker="tests")
        await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])

        push = await stack.pushes.until(chat_id, "ready")

    assert push["snapshot"]["agent_id"] == agent.id


async def test_only_the_hash_is_kept(stack: Stack) -> None:
    """Neither builds nor recorded effects hold the secret."""
    await stack.engine()
    reply = await stack.create(str(uuid4()))
    job = await stack.provisioner.job(reply.build_id)

    (build,) = await stack.sql("select agent_secret_hash from workspaced.builds")
    everything = await stack.sql(
        "select row_to_json(t)::text as text from workspaced.transitions t"
        " union all select row_to_json(i)::text from workspaced.inputs i"
        " union all select row_to_json(b)::text from workspaced.builds b"
    )
    assert build["agent_secret_hash"] == hashed(job["agent_secret"])
    assert [row["text"] for row in everything if job["agent_secret"] in row["text"]] == []


@pytest.mark.parametrize("verb", ["stop", "delete", "restart"])
async def test_a_newer_build_turns_its_agents_out(stack: Stack, verb: str) -> None:
    """At once, whatever the newer build is to do; and they do not get in again."""
    await stack.engine()
    chat_id = str(uuid4())
    async with a_callout(stack):
        reply = await stack.create(chat_id)
        job = await stack.provisioner.job(reply.build_id)
        agent = await come_in(stack, job)
        await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
        await agent.get_ready()
        await stack.pushes.until(chat_id, "ready")

        await getattr(stack.client, verb)(chat_id)

        await agent.dropped()
        assert await is_refused(stack, job, agent.id)


async def test_a_build_that_somebody_else_began_turns_agents_out(stack: Stack) -> None:
    """It is a newer build as any other."""
    await stack.engine()
    async with a_callout(stack):
        reply = await stack.create(str(uuid4()))
        job = await stack.provisioner.job(reply.build_id)
        agent = await come_in(stack, job)
        await stack.provisioner.build(job)
        body = {"build_id": str(uuid4()), "build_number": 2, "transition": "start", "job_id": str(uuid4())}

        await stack.provisioner.announce(job, body)

        await agent.dropped()


async def test_a_build_that_begins_while_a_login_is_noted(stack: Stack) -> None:
    """Neither side saw the other: the login is looked for once more, and refused."""
    await stack.engine()
    job = await stack.provisioner.job((await stack.create(str(uuid4()))).build_id)
    await stack.provisioner.build(job)

    async def begin() -> None:
        body = {"build_id": str(uuid4()), "build_number": 2, "transition": "start", "job_id": str(uuid4())}
        await stack.provisioner.announce(job, body)

    logins = Overtaken(stack.dsn, begin)
    await logins.open()
    signer = Signer(stack.server.credentials.callout_seed)
    callout = Callout(await stack.connect("callout"), logins, signer, clock=utc_now, lifetime=timedelta(hours=1))
    await callout.start()
    try:
        refused = await is_refused(stack, job)
    finally:
        await callout.stop()
        await logins.close()

    assert refused


async def test_a_login_that_is_over(stack: Stack) -> None:
    """The server ends the connection; the agent comes in again with the same secret, and so does its chat."""
    await stack.engine()
    chat_id = str(uuid4())
    async with a_callout(stack, SHORT_LOGIN):
        job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
        agent_id = str(uuid4())
        agent = AgentClient(job["workspace"]["id"], agent_id, job["build_id"])
        password = f"{job['build_id']}.{job['agent_secret']}"
        await agent.connect(
            stack.server.url, user=agent_id, password=password, inbox_prefix=f"_INBOX_{agent_id}".encode()
        )
        agent.lifecycle("ready")
        await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent_id)])
        ready = await stack.pushes.until(chat_id, "ready")

        left = await stack.pushes.until(chat_id, "connecting", after=ready["version"])
        back = await stack.pushes.until(chat_id, "ready", after=left["version"])
        await agent.close()

    assert left["cause"]["event"] == "sys.disconnect"
    assert back["snapshot"]["agent_id"] == agent_id


async def test_a_link_to_postgres_that_is_dead(
    stack: Stack, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is revoked cannot be looked up at once: it is, as soon as Postgres can be asked again."""
    monkeypatch.setattr(pool, "STATEMENT_SECONDS", 1)
    await stack.engine()
    chat_id = str(uuid4())
    async with proxied(way_in(postgres)) as proxy, a_callout(stack, dsn=dsn_by(proxy, stack.dsn)):
        job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
        agent = await come_in(stack, job)
        await stack.provisioner.build(job)
        proxy.stall()

        await stack.client.delete(chat_id)

        await agent.dropped()


async def test_an_agent_has_one_connection(stack: Stack) -> None:
    """The former one goes, so that none is left over when the agent is turned out."""
    await stack.engine()
    async with a_callout(stack):
        reply = await stack.create(str(uuid4()))
        job = await stack.provisioner.job(reply.build_id)
        first = await come_in(stack, job)
        await come_in(stack, job, first.id)

        await first.dropped()


async def test_who_may_not_come_in(stack: Stack) -> None:
    """A wrong secret, another build's, an id that is another workspace's agent's, no ids at all."""
    await stack.engine()
    async with a_callout(stack):
        jobs = [await stack.provisioner.job((await stack.create(str(uuid4()))).build_id) for _ in range(2)]
        known = await come_in(stack, jobs[0])
        announced = await stack.provisioner.build(jobs[0])
        await stack.decided()

        refused = [
            await is_refused(stack, jobs[1], secret="0" * 64),
            await is_refused(stack, jobs[1], secret=""),
            await is_refused(stack, jobs[1], secret=jobs[0]["agent_secret"]),
            await is_refused(stack, jobs[1] | {"build_id": str(uuid4())}),
            await is_refused(stack, jobs[1] | {"build_id": "1 or true"}),
            await is_refused(stack, jobs[1], agent_id=known.id),
            await is_refused(stack, jobs[1], agent_id=announced.id),
            await is_refused(stack, jobs[1], agent_id="engine"),
            await is_refused(stack, jobs[1], agent_id="*"),
        ]

    assert refused == [True] * len(refused)


async def test_without_a_callout(stack: Stack) -> None:
    """No agent gets in; one that is in stays, and the next callout finds whom to turn out meanwhile."""
    await stack.engine()
    chat_id = str(uuid4())
    async with a_callout(stack):
        job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
        agent = await come_in(stack, job)
        await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    assert await is_refused(stack, job)
    await agent.get_ready()
    await stack.pushes.until(chat_id, "ready")
    await stack.client.stop(chat_id)
    await stack.decided()
    assert agent.connection.is_connected

    async with a_callout(stack):
        await agent.dropped()


async def test_two_callouts_share_the_work(stack: Stack) -> None:
    """Both hear of a revocation, and one that ended is not missed."""
    await stack.engine()
    chat_id = str(uuid4())
    async with a_callout(stack):
        async with a_callout(stack):
            job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
            agents = [await come_in(stack, job) for _ in range(4)]
        agents.append(await come_in(stack, job))

        await stack.client.cancel(chat_id)
        await stack.provisioner.tell(job, "succeeded", agents=[])
        await stack.client.delete(chat_id)

        for agent in agents:
            await agent.dropped()
