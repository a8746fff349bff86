"""What outlives what: provisioners that are killed, agents that die, jobs that come again, servers that go away."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.jobs import Engine, Pipe, a_job, next_job, processes_of, provisioner_process, record_of
from tests.servers import Connections, server_with_shared_agent
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport
from workspaced.provisioners import processes
from workspaced.provisioners.agent.config import NatsLogin, read_config
from workspaced.provisioners.local.folder import Folder
from workspaced.provisioners.local.program import ProvisionerConfig, run_provisioner
from workspaced.provisioners.local.provisioner import LocalProvisioner, end_all_agents


@pytest.fixture
async def engine(connect: Connections) -> Engine:
    """Streams, a queue for tag `local` with a short lease, ears."""
    engine = Engine(connect)
    await engine.start(job_lease=timedelta(seconds=1))
    return engine


@pytest.fixture
async def root(tmp_path: Path) -> AsyncIterator[Path]:
    """A root folder; whatever ran there is gone after the test."""
    path = tmp_path / "root"
    yield path
    await end_all_agents(path, timedelta(0))


async def test_redelivered_job_adopts_the_agent(engine: Engine, root: Path) -> None:
    """A provisioner ended before it reported: the next one keeps the agent that runs, same id, same process."""
    job, done = a_job(), asyncio.Event()
    provisioner = LocalProvisioner(root, engine.login("agent"))

    async def dies_before_it_reports(job: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        await provisioner.handle(job, hand)
        done.set()
        await asyncio.Event().wait()
        return ()

    client = ProvisionerClient(await engine.connect("provisioner"), "local")
    running = asyncio.create_task(client.run(dies_before_it_reports))
    await engine.send(job)
    await done.wait()
    ready = await engine.lifecycle(job, "ready")
    before = record_of(root, job)
    provisioner.release()
    await client.drain()
    await running

    async with provisioner_process(engine, root):
        report = await engine.job(job, "succeeded")
        assert record_of(root, job) == before

    assert report["attempt"] == 2
    assert [agent["id"] for agent in report["agents"]] == [before.agents[0].id]
    assert ready["state"] == "ready"


async def test_redelivered_job_carries_on_after_a_kill(engine: Engine, root: Path) -> None:
    """SIGKILL while the build script runs: the lease ends, the leftover script too, and the build is done again."""
    build = "test -e again || { touch again; sleep 1000 & echo begun; wait; }"
    job = a_job(source={"startup_script": "true", "build_script": build})
    async with provisioner_process(engine, root) as first:
        await engine.send(job)
        await engine.hear(lambda _, body: body.get("output") == "begun")
        first.kill()
    left = processes.carrying("WORKSPACED_JOB_ID", job["job_id"])
    async with provisioner_process(engine, root):
        report = await engine.job(job, "succeeded")
        await engine.lifecycle(job, "ready")

    assert len(left) == 2
    assert report["attempt"] == 2
    assert processes.carrying("WORKSPACED_JOB_ID", job["job_id"]) == []


async def test_agents_outlive_the_provisioner(engine: Engine, root: Path) -> None:
    """After SIGTERM it exits 0 and its agents go on; the next one adopts them and can stop them."""
    job = a_job()
    async with provisioner_process(engine, root, end_agents=False):
        await engine.send(job)
        await engine.lifecycle(job, "ready")
    before = record_of(root, job)
    assert before.agents[0].process is not None
    assert before.agents[0].process.running

    stop = next_job(job, "stop")
    async with provisioner_process(engine, root):
        await engine.send(stop)
        await engine.job(stop, "succeeded")
    await engine.lifecycle(job, "off")
    assert processes_of(job["workspace"]["id"]) == []


async def test_agent_that_dies_is_started_again(engine: Engine, root: Path) -> None:
    """What its script left does not run twice; `starting` comes before `connected`, so the old `ready` never counts."""
    job = a_job(source={"startup_script": "sleep 1000 &"})
    async with provisioner_process(engine, root):
        await engine.send(job)
        for status in ("running", "succeeded"):
            await engine.job(job, status)
        await engine.agent(job, "connected")
        for state in ("starting", "ready"):
            await engine.lifecycle(job, state)
        await kill_agent(root, job)
        await engine.lifecycle(job, "ready")
        before_ready = engine.reports(job)
        assert len(processes_of(job["workspace"]["id"])) == 2

    assert before_ready == ["starting", "connected"]


async def test_adopted_agent_is_watched_too(engine: Engine, root: Path) -> None:
    """It is not the new provisioner's child, and still its death is noticed."""
    job = a_job()
    async with provisioner_process(engine, root, end_agents=False):
        await engine.send(job)
        await engine.lifecycle(job, "ready")
    stop = next_job(job, "stop")
    async with provisioner_process(engine, root):
        await engine.send(other := a_job())
        await engine.job(other, "succeeded")  # so it has taken over
        await kill_agent(root, job)
        await engine.lifecycle(job, "ready")
        await engine.send(stop)
        await engine.job(stop, "succeeded")


async def kill_agent(root: Path, job: dict[str, object]) -> None:
    """SIGKILL for the job's one agent."""
    process = record_of(root, job).agents[0].process
    assert process is not None
    processes.send(process, signal.SIGKILL)


async def test_agents_that_died_meanwhile_are_started_again(engine: Engine, root: Path) -> None:
    """Ended with a former provisioner, as `workspaced up` does: the next one brings its workspaces back."""
    job = a_job()
    async with provisioner_process(engine, root, end_agents=True):
        await engine.send(job)
        await engine.lifecycle(job, "ready")
    assert processes_of(job["workspace"]["id"]) == []
    await engine.lifecycle(job, "off")

    async with provisioner_process(engine, root):
        await engine.lifecycle(job, "ready")


async def test_agents_learn_of_another_login(engine: Engine, root: Path) -> None:
    """When passwords or addresses changed while no provisioner ran, agents are started again with the new ones."""
    job = a_job()
    async with provisioner_process(engine, root, end_agents=False):
        await engine.send(job)
        await engine.lifecycle(job, "ready")
    (agent,) = record_of(root, job).agents
    path = Folder(root, job["workspace"]["id"]).agent_file(agent.id, "config.json")
    config = read_config(path)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(config, nats=NatsLogin("nats://127.0.0.1:1"))))
    assert path.stat().st_mode & 0o777 == 0o600

    async with provisioner_process(engine, root):
        await engine.lifecycle(job, "off")
        await engine.lifecycle(job, "ready")
    assert read_config(path).nats == engine.login("agent")


async def test_job_is_reported_after_an_outage(tmp_path: Path) -> None:
    """NATS dies while a job runs and comes back within its lease: the report is not lost, nor is the next job late."""
    pipe = Pipe(tmp_path / "pipe")
    server = server_with_shared_agent(tmp_path / "server")
    await server.start()
    connections = Connections(server)
    stopping = asyncio.Event()
    try:
        engine = Engine(connections)
        await engine.start()
        config = ProvisionerConfig(
            engine.login("provisioner"), engine.login("agent"), tmp_path / "root", end_agents=True
        )
        running = asyncio.create_task(run_provisioner(config, stopping))
        job = a_job(source={"build_script": f"read < {tmp_path}/pipe", "startup_script": "true"})
        await engine.send(job)
        await engine.job(job, "running")
        await server.kill()
        pipe.let_go()
        await server.start()
        report = await engine.job(job, "succeeded")
        await engine.send(following := a_job())
        await engine.job(following, "succeeded")
        stopping.set()
        assert await running == 0
    finally:
        await connections.close()
        await server.stop()
        pipe.close()

    assert report["attempt"] == 1
