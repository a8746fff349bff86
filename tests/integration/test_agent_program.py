"""The agent on a real server: what it reports while scripts run, fail, take long, and when NATS or it itself goes."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.jobs import SAFETY_NET, Body, Engine, Pipe, new_id
from tests.servers import Connections, server_with_shared_agent
from workspaced.bus import subjects
from workspaced.provisioners import processes
from workspaced.provisioners.agent.config import AgentConfig
from workspaced.provisioners.agent.program import run_agent
from workspaced.provisioners.local.agents import COMMAND


@pytest.fixture
async def engine(connect: Connections) -> Engine:
    """Streams and ears."""
    engine = Engine(connect)
    await engine.start()
    return engine


def an_agent(engine: Engine, folder: Path, script: str | None, **changes: object) -> AgentConfig:
    """An agent's configuration; its script is a file in `folder`."""
    path = folder / "startup.sh"
    if script is not None:
        path.write_text(script)
    config = AgentConfig(
        workspace_id=new_id(),
        build_id=new_id(),
        agent_id=new_id(),
        agent_name="main",
        nats=engine.login("agent"),
        folder=str(folder),
        startup_script=str(path) if script is not None else None,
        startup_log=str(folder / "startup.log"),
    )
    return msgspec.structs.replace(config, **changes)


def a_job_of(config: AgentConfig) -> Body:
    """As much of a job as `Engine` needs to tell the agent's reports from others."""
    return {"workspace": {"id": config.workspace_id}, "build_id": config.build_id}


@asynccontextmanager
async def running(config: AgentConfig) -> AsyncIterator[Body]:
    """The agent in this process; it ends with the block, cleanly."""
    stopping = asyncio.Event()
    agent = asyncio.create_task(run_agent(config, stopping))
    try:
        yield a_job_of(config)
    finally:
        stopping.set()
        code = await asyncio.wait_for(agent, SAFETY_NET)
    assert code == 0


async def ping(engine: Engine, config: AgentConfig) -> Body:
    """What the agent answers."""
    reply = await engine.nc.request(subjects.ping(config.agent_id), b"{}", timeout=SAFETY_NET)
    pong: Body = json.loads(reply.data)
    return pong


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    """`pipe` in the agent's folder."""
    pipe = Pipe(tmp_path / "pipe")
    yield pipe
    pipe.close()


async def test_script_that_succeeds(engine: Engine, tmp_path: Path) -> None:
    """Connected, starting, ready; at the end shutting_down, off, disconnected; the script knows whom it runs for."""
    script = 'echo "$WORKSPACED_AGENT_ID $WORKSPACED_AGENT_NAME $COLOR"; echo oops >&2'
    config = an_agent(engine, tmp_path, script, environment={"COLOR": "blue"})
    async with running(config) as job:
        connected = await engine.agent(job, "connected")
        starting = await engine.lifecycle(job, "starting")
        ready = await engine.lifecycle(job, "ready")

    for state in ("shutting_down", "off"):
        await engine.lifecycle(job, state)
    gone = await engine.agent(job, "disconnected")
    connection = (connected["server_id"], connected["client_id"])
    assert all((report["server_id"], report["client_id"]) == connection for report in (starting, ready, gone))
    assert starting["at"] <= ready["at"]
    assert (tmp_path / "startup.log").read_text() == f"{config.agent_id} main blue\noops\n"


async def test_agent_without_script_is_ready_at_once(engine: Engine, tmp_path: Path) -> None:
    """There is nothing to wait for."""
    async with running(an_agent(engine, tmp_path, None)) as job:
        assert (await engine.lifecycle(job, "ready"))["exit_code"] is None


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -KILL $$", 137), ("no_such_command", 127)])
async def test_script_that_fails(engine: Engine, tmp_path: Path, script: str, code: int) -> None:
    """`start_error` carries the exit code; the agent stays and can be asked."""
    config = an_agent(engine, tmp_path, script)
    async with running(config) as job:
        report = await engine.lifecycle(job, "start_error")
        pong = await ping(engine, config)

    assert report["exit_code"] == code
    assert pong["lifecycle"] == "start_error"


async def test_script_that_cannot_be_started(engine: Engine, tmp_path: Path) -> None:
    """A folder that is gone is the script's failure, not the agent's."""
    config = msgspec.structs.replace(an_agent(engine, tmp_path, "true"), folder=str(tmp_path / "gone"))
    async with running(config) as job:
        assert (await engine.lifecycle(job, "start_error"))["exit_code"] == 127


async def test_script_that_takes_too_long_goes_on(engine: Engine, tmp_path: Path, pipe: Pipe) -> None:
    """`start_timeout` after its limit, `ready` when it ends after all; ping is answered meanwhile."""
    config = an_agent(engine, tmp_path, "read < pipe", startup_script_timeout="20ms")
    async with running(config) as job:
        await engine.lifecycle(job, "start_timeout")
        pong = await ping(engine, config)
        pipe.let_go()
        await engine.lifecycle(job, "ready")

    assert pong["agent_id"] == config.agent_id
    assert pong["build_id"] == config.build_id
    assert pong["lifecycle"] == "start_timeout"
    assert pong["at"].endswith("Z")


@pytest.mark.usefixtures("pipe")
async def test_ping_is_answered_while_the_script_runs(engine: Engine, tmp_path: Path) -> None:
    """Also before any limit; and what the script started ends with the agent, if need be by force."""
    script = "trap '' TERM; sleep 1000 & read < pipe; exit 1"
    config = an_agent(engine, tmp_path, script, stop_grace="50ms")
    async with running(config) as job:
        await engine.lifecycle(job, "starting")
        assert (await ping(engine, config))["lifecycle"] == "starting"

    assert processes.carrying("WORKSPACED_AGENT_ID", config.agent_id) == []


async def test_resync_has_it_say_the_same_again(engine: Engine, tmp_path: Path) -> None:
    """New ids, or the stream would drop them; the lifecycle's `at` of then, or it would look like a restart."""
    async with running(an_agent(engine, tmp_path, "true")) as job:
        connected = await engine.agent(job, "connected")
        ready = await engine.lifecycle(job, "ready")
        await engine.resync(new_id())
        await engine.resync(job["workspace"]["id"])
        connected_again = await engine.agent(job, "connected")
        ready_again = await engine.lifecycle(job, "ready")
        await engine.resync()
        await engine.lifecycle(job, "ready")

    assert connected["id"] != connected_again["id"]
    assert connected["client_id"] == connected_again["client_id"]
    assert ready["id"] != ready_again["id"]
    assert ready["at"] == ready_again["at"]


async def test_agent_outlives_its_server(tmp_path: Path, pipe: Pipe) -> None:
    """After a server's death it comes back by itself and tells on the new connection what happened meanwhile."""
    server = server_with_shared_agent(tmp_path / "server")
    await server.start()
    connections = Connections(server)
    try:
        engine = Engine(connections)
        await engine.start()
        config = an_agent(engine, tmp_path, "read < pipe")
        async with running(config) as job:
            before = await engine.agent(job, "connected")
            await engine.lifecycle(job, "starting")
            await server.kill()
            pipe.let_go()
            await server.start()
            after = await engine.agent(job, "connected")
            ready = await engine.lifecycle(job, "ready")
    finally:
        await connections.close()
        await server.stop()

    assert before["server_id"] != after["server_id"]
    assert (ready["server_id"], ready["client_id"]) == (after["server_id"], after["client_id"])


async def test_agent_starts_while_nats_is_away(tmp_path: Path) -> None:
    """Its script runs at once, and everything is told in order when NATS is there."""
    pipe = Pipe(tmp_path / "ran")
    server = server_with_shared_agent(tmp_path / "server")
    await server.start()
    connections = Connections(server)
    try:
        engine = Engine(connections)
        await engine.start()
        config = an_agent(engine, tmp_path, "echo > ran")
        await server.kill()
        async with running(config) as job:
            await asyncio.to_thread(pipe.read)
            await server.start()
            await engine.agent(job, "connected")
            starting = await engine.lifecycle(job, "starting")
            ready = await engine.lifecycle(job, "ready")
    finally:
        await connections.close()
        await server.stop()
        pipe.close()

    assert starting["at"] < ready["at"]


async def test_agent_process_ends_on_sigterm(engine: Engine, tmp_path: Path) -> None:
    """The program: exit code 0, nothing left, and its password not on its command line."""
    config = an_agent(engine, tmp_path, "sleep 1000 & sleep 1000")
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config))
    agent = await asyncio.create_subprocess_exec(
        *COMMAND, env={**os.environ, "WORKSPACED_AGENT_CONFIG": str(tmp_path / "config.json")}
    )
    job = a_job_of(config)
    await engine.lifecycle(job, "starting")
    command_line = Path(f"/proc/{agent.pid}/cmdline").read_text()  # noqa: ASYNC240  # a line
    agent.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(agent.wait(), SAFETY_NET) == 0
    for state in ("shutting_down", "off"):
        await engine.lifecycle(job, state)
    await engine.agent(job, "disconnected")
    assert processes.carrying("WORKSPACED_AGENT_ID", config.agent_id) == []
    assert config.nats.password is not None
    assert config.nats.password not in command_line


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot read the agent's configuration"), (b"{}", "is not valid: Object missing required field")],
)
async def test_bad_configuration_is_one_line(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """What is wrong, without a traceback; exit code 2."""
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    agent = await asyncio.create_subprocess_exec(
        *COMMAND,
        env={**os.environ, "WORKSPACED_AGENT_CONFIG": str(tmp_path / "config.json")},
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await agent.communicate()

    assert agent.returncode == 2
    assert reason in stderr.decode()
    assert stderr.count(b"\n") == 1
