"""The local provisioner on a real server: folders, agents that call home, jobs that come twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jobs import Engine, a_job, next_job, processes_of, record_of
from tests.servers import Connections
from workspaced.provisioners.local.program import ProvisionerConfig, run_provisioner


@pytest.fixture
async def engine(connect: Connections) -> Engine:
    """Streams, a queue for tag `local`, ears."""
    engine = Engine(connect)
    await engine.start()
    return engine


@pytest.fixture
async def root(tmp_path: Path, engine: Engine) -> AsyncIterator[Path]:
    """A running provisioner's root folder; nothing of it runs after the test."""
    stopping = asyncio.Event()
    config = ProvisionerConfig(engine.login("provisioner"), engine.login("agent"), tmp_path / "root", end_agents=True)
    running = asyncio.create_task(run_provisioner(config, stopping))
    yield config.root
    stopping.set()
    assert await running == 0


async def test_start_job_makes_an_agent_that_becomes_ready(engine: Engine, root: Path) -> None:
    """A job is reported running, then succeeded with its agent, which calls home and runs the startup script."""
    job = a_job(source={"startup_script": 'echo "$PARAM_REGION" > region'}, parameters={"region": "eu; rm -rf /"})
    await engine.send(job)

    running = await engine.job(job, "running")
    assert (running["attempt"], running["build_number"]) == (1, 1)
    (agent,) = (await engine.job(job, "succeeded"))["agents"]
    assert agent["name"] == "main"
    assert (await engine.agent(job, "connected"))["client_id"] > 0
    await engine.lifecycle(job, "starting")
    assert (await engine.lifecycle(job, "ready"))["exit_code"] == 0
    assert (root / job["workspace"]["id"] / "region").read_text() == "eu; rm -rf /\n"


async def test_stop_ends_the_agent_and_keeps_the_folder(engine: Engine, root: Path) -> None:
    """After a stop nothing of the workspace runs, not even what its script left; a delete removes the folder."""
    job = a_job(source={"startup_script": "echo kept > file; sleep 1000 & setsid sleep 1000 &"})
    await engine.send(job)
    await engine.lifecycle(job, "ready")
    assert len(processes_of(job["workspace"]["id"])) == 3

    stop = next_job(job, "stop")
    await engine.send(stop)
    assert (await engine.job(stop, "succeeded"))["agents"] == []
    await engine.lifecycle(job, "shutting_down")
    await engine.lifecycle(job, "off")
    await engine.agent(job, "disconnected")
    assert processes_of(job["workspace"]["id"]) == []
    assert (root / job["workspace"]["id"] / "file").read_text() == "kept\n"
    assert record_of(root, job).agents == ()

    delete = next_job(stop, "delete")
    await engine.send(delete)
    await engine.job(delete, "succeeded")
    assert not (root / job["workspace"]["id"]).exists()
