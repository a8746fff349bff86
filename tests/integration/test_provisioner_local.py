"""The local provisioner on a real server: folders, agents that call home, jobs that come twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.jobs import SAFETY_NET, Engine, a_job, command_line_of, names_in, next_job, processes_of, record_of
from tests.servers import Connections
from workspaced.provisioners.local import agents
from workspaced.provisioners.local.program import ProvisionerConfig, run_provisioner

FILES = 321
"""What an agent may have open."""


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
    config = ProvisionerConfig(
        engine.login("provisioner"),
        engine.login("agent"),
        tmp_path / "root",
        end_agents=True,
        agent_limits=f"nofile={FILES}",
    )
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


async def test_build_script_writes_the_log(engine: Engine, root: Path) -> None:
    """Its output comes as lines, in order, before the success; parameters are values of its environment."""
    script = (
        'echo "region $PARAM_AWS_REGION"; echo >&2 warned; touch ../"$WORKSPACED_WORKSPACE_ID"/b; printf unfinished'
    )
    job = a_job(source={"build_script": script}, parameters={"aws-region": "$(touch hacked)"})
    await engine.send(job)
    await engine.job(job, "succeeded")

    lines = [line["output"] for line in engine.log(job) if line.get("stage") == "build"]
    assert lines == ["region $(touch hacked)", "warned", "unfinished"]
    folder = root / job["workspace"]["id"]
    assert sorted(entry.name for entry in folder.iterdir()) == [".workspaced", "agent.json", "b"]
    assert engine.log(job)[-1]["end"] is True


async def test_build_script_that_fails(engine: Engine, root: Path) -> None:
    """Its last line is the reason, no agent is started, and the folder stays for a delete to find."""
    job = a_job(source={"build_script": "echo no space left; exit 3"})
    await engine.send(job)
    report = await engine.job(job, "failed")

    assert report["error"] == "the build script ended with exit code 3: no space left"
    assert report["retryable"] is None
    assert (root / job["workspace"]["id"]).exists()
    assert processes_of(job["workspace"]["id"]) == []


@pytest.mark.parametrize("source", [{"build_script": "echo begun; sleep 1000 & sleep 1000"}, {"build_delay": "1000s"}])
@pytest.mark.usefixtures("root")
async def test_build_is_canceled_in_the_middle(engine: Engine, source: dict[str, str]) -> None:
    """The script and what it started end; the job ends as canceled."""
    job = a_job(source=source)
    await engine.send(job)
    await engine.job(job, "running")
    if "build_script" in source:
        await engine.hear(lambda _, body: body.get("output") == "begun")
    await engine.cancel(job)
    await engine.job(job, "canceling")
    await engine.job(job, "canceled")

    assert processes_of(job["workspace"]["id"]) == []


@pytest.mark.usefixtures("root")
async def test_bad_template_is_refused(engine: Engine) -> None:
    """Its author reads what is wrong; the same build would not succeed later."""
    job = a_job(source={"startup_script": "true", "startup_scirpt_timeout": "3s"})
    await engine.send(job)
    report = await engine.job(job, "failed")

    prefix = "the template cannot be built by the local provisioner: "
    assert report["error"] == prefix + "Object contains unknown field `startup_scirpt_timeout`"
    assert report["retryable"] is False


@pytest.mark.usefixtures("root")
async def test_template_without_a_source(engine: Engine) -> None:
    """It has one agent, which is ready at once."""
    job = a_job(source=None)
    await engine.send(job)

    await engine.lifecycle(job, "ready")


async def test_several_agents(engine: Engine, root: Path) -> None:
    """Each name is an agent with a process and a run of the script of its own, told in the template's order."""
    job = a_job(source={"startup_script": 'touch "$WORKSPACED_AGENT_NAME"', "agents": ["zeta", "alpha"]})
    await engine.send(job)
    report = await engine.job(job, "succeeded")
    for _ in range(2):
        await engine.lifecycle(job, "ready")

    assert [(agent["name"], agent["display_order"]) for agent in report["agents"]] == [("zeta", 0), ("alpha", 1)]
    assert len(processes_of(job["workspace"]["id"])) == 2
    assert (root / job["workspace"]["id"] / "zeta").exists()


async def test_next_build_replaces_the_agents(engine: Engine, root: Path) -> None:
    """A start of a running workspace ends the former build's agents; the new ones have new ids, files stay."""
    job = a_job(source={"startup_script": "date > file"})
    await engine.send(job)
    await engine.lifecycle(job, "ready")
    following = next_job(job, "start", source={"startup_script": "cat file"})
    await engine.send(following)
    await engine.lifecycle(job, "off")
    await engine.lifecycle(following, "ready")

    assert len(processes_of(job["workspace"]["id"])) == 1
    assert record_of(root, following).build_id == following["build_id"]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("transition", ["stop", "delete"])
async def test_workspace_that_is_not_there(engine: Engine, transition: str) -> None:
    """Nothing is left to do, so that is a success: deletes may come twice."""
    job = a_job(transition)
    await engine.send(job)

    assert (await engine.job(job, "succeeded"))["agents"] == []


async def test_delete_does_not_follow_links(engine: Engine, root: Path, tmp_path: Path) -> None:
    """Neither in the folder nor in its place; what they point to is untouched."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    job = a_job(source={"startup_script": f"ln -s {outside} link"})
    await engine.send(job)
    await engine.lifecycle(job, "ready")
    other = a_job("delete")
    (root / other["workspace"]["id"]).symlink_to(outside)
    for delete in (next_job(job, "delete"), other):
        await engine.send(delete)
        await engine.job(delete, "succeeded")

    assert names_in(root) == []
    assert (outside / "file").exists()


@pytest.mark.usefixtures("root")
async def test_workspace_id_that_is_a_path(engine: Engine) -> None:
    """It cannot even be reported, for it is no subject either; the job is dropped and the queue goes on."""
    await engine.send(a_job(workspace_id="../../etc"))
    await engine.send(job := a_job())
    await engine.job(job, "succeeded")
    terminated = await engine.hear(lambda of, _: of.endswith(".MSG_TERMINATED.JOBS.local"))

    assert terminated["deliveries"] == 1


async def test_passwords_are_not_for_scripts(engine: Engine, root: Path) -> None:
    """Not in their environment, nor in any command line; files that hold one are for their owner only, while needed."""
    password = engine.login("agent").password
    assert password is not None
    job = a_job(source={"startup_script": "env > environment", "build_script": "env"})
    await engine.send(job)
    await engine.lifecycle(job, "ready")
    folder = root / job["workspace"]["id"]
    (process,) = processes_of(job["workspace"]["id"])

    assert password not in (folder / "environment").read_text()
    assert password not in command_line_of(process)
    assert password not in str(engine.log(job))
    (holder,) = [path for path in folder.rglob("*") if path.is_file() and password in path.read_text()]
    assert holder.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    stop = next_job(job, "stop")
    await engine.send(stop)
    await engine.job(stop, "succeeded")
    assert not holder.exists()


async def test_agents_and_scripts_are_limited(engine: Engine, root: Path) -> None:
    """What a script starts inherits it."""
    job = a_job(source={"startup_script": "ulimit -Hn > limit"})
    await engine.send(job)
    await engine.lifecycle(job, "ready")

    assert (root / job["workspace"]["id"] / "limit").read_text() == f"{FILES}\n"


async def test_agent_that_keeps_dying_is_left_alone(
    engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started again a few times, then no more, and the operator is told; the workspace can still be deleted."""
    monkeypatch.setattr(agents, "FIRST_PAUSE", 0.001)
    given_up = asyncio.Event()
    monkeypatch.setattr(agents._log, "error", lambda *_: given_up.set())  # noqa: SLF001  # the word that ends it
    job = a_job(source={"startup_script": "echo >> starts; kill -KILL $PPID"})
    await engine.send(job)
    await asyncio.wait_for(given_up.wait(), SAFETY_NET)
    starts = (root / job["workspace"]["id"] / "starts").read_text()
    await engine.send(delete := next_job(job, "delete"))
    await engine.job(delete, "succeeded")

    assert starts.count("\n") == 1 + agents.RESTARTS
