"""The engine's side of a provisioner's test: jobs on the queue, and everything that is reported about them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from nats.aio.msg import Msg

from tests.servers import Connections
from workspaced.bus import jetstream, streams, subjects
from workspaced.provisioners import processes
from workspaced.provisioners.agent.config import NatsLogin
from workspaced.provisioners.local.folder import Folder, WorkspaceRecord

if TYPE_CHECKING:
    from nats.aio.client import Client

SAFETY_NET = 30.0
"""Seconds after which a test gives up; never the thing measured."""

Body = dict[str, Any]


def new_id() -> str:
    """A fresh id."""
    return str(uuid4())


def a_job(transition: str = "start", *, workspace_id: str | None = None, number: int = 1, **changes: object) -> Body:
    """A job as the engine writes it; `source`, `parameters` and any other field may be given."""
    source = changes.pop("source", {"startup_script": "true"})
    return {
        "id": new_id(),
        "at": datetime.now(UTC).isoformat(),
        "job_id": new_id(),
        "build_id": new_id(),
        "build_number": number,
        "transition": transition,
        "workspace": {"id": workspace_id or new_id(), "name": "amber-fox-1a2b", "ttl_ms": None},
        "owner": {"id": new_id(), "name": "ada"},
        "organization_id": new_id(),
        "template": {"id": new_id(), "name": "plain", "version_id": new_id(), "source": source},
        "parameters": {},
        "preset_id": None,
        "agent_secret": None,
        "prior_build_id": None,
    } | changes


def next_job(job: Body, transition: str, **changes: object) -> Body:
    """The following job for the same workspace."""
    return a_job(transition, workspace_id=job["workspace"]["id"], number=job["build_number"] + 1, **changes)


class Engine:
    """Publishes jobs and hears reports, in the order of their arrival."""

    def __init__(self, connections: Connections) -> None:
        self.connect = connections
        self._heard: list[tuple[str, Body]] = []
        self._news = asyncio.Condition()
        self.nc: Client

    async def start(self, *, job_lease: timedelta = timedelta(seconds=30)) -> None:
        """Make the streams, with the queue of tag `local`, and listen."""
        self.nc = await self.connect("admin")
        await jetstream.ensure(self.nc, ("local",), streams.Limits(job_lease=job_lease))
        await self.nc.subscribe("ws.event.>", cb=self._on_message)
        await self.nc.subscribe("ws.log.>", cb=self._on_message)
        await self.nc.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.JOBS.local", cb=self._on_message)
        await self.nc.flush()

    def login(self, role: str) -> NatsLogin:
        """How `role` connects to the test's server."""
        who = self.connect.server.roles[role]
        return NatsLogin(self.connect.server.url, who.user, who.password, who.inbox_prefix)

    async def send(self, job: Body) -> None:
        """Put a job on the queue."""
        message_id = f"{job['workspace']['id']}:{job['build_id']}"
        await self.nc.jetstream().publish(
            subjects.job("local", job["job_id"]), json.dumps(job).encode(), headers={"Nats-Msg-Id": message_id}
        )

    async def cancel(self, job: Body) -> None:
        """Have whoever works on the job stop."""
        body = {
            "job_id": job["job_id"],
            "build_id": job["build_id"],
            "workspace_id": job["workspace"]["id"],
            "reason": "canceled",
        }
        await self.nc.publish(subjects.cancel(job["job_id"]), json.dumps(body).encode())

    async def resync(self, workspace_id: str | None = None) -> None:
        """Ask for everything once more."""
        await self.nc.publish(subjects.resync(workspace_id), json.dumps({"at": datetime.now(UTC).isoformat()}).encode())

    async def hear(self, wanted: Callable[[str, Body], bool]) -> Body:
        """The first report that is `wanted` and was not heard before; it waits for it."""
        async with asyncio.timeout(SAFETY_NET), self._news:
            while True:
                for heard in self._heard:
                    if wanted(*heard):
                        self._heard.remove(heard)
                        return heard[1]
                await self._news.wait()

    async def job(self, job: Body, status: str) -> Body:
        """The next report that `job` has this status."""
        subject = subjects.job_event(job["workspace"]["id"], status)
        return await self.hear(lambda of, body: of == subject and body["job_id"] == job["job_id"])

    async def agent(self, job: Body, kind: str) -> Body:
        """The next report of that kind by an agent of the job's build."""
        tokens = f"ws.event.{job['workspace']['id']}.agent."
        return await self.hear(
            lambda of, body: of.startswith(tokens) and of.endswith(f".{kind}") and body["build_id"] == job["build_id"]
        )

    async def lifecycle(self, job: Body, state: str) -> Body:
        """The next report that an agent of the job's build is at `state`."""
        return await self.hear(
            lambda of, body: (
                of.endswith(".lifecycle") and body["build_id"] == job["build_id"] and body["state"] == state
            )
        )

    def log(self, job: Body) -> list[Body]:
        """The lines of the job's build that were heard."""
        subject = subjects.log(job["workspace"]["id"], job["build_id"])
        return [body for of, body in self._heard if of == subject]

    def reports(self, job: Body) -> list[str]:
        """What was heard of the job's workspace and not asked for, by the ends of subjects; lifecycles by state."""
        tokens = f"ws.event.{job['workspace']['id']}."
        return [body.get("state") or of.rpartition(".")[2] for of, body in self._heard if of.startswith(tokens)]

    async def queue_is_empty(self) -> bool:
        """Whether every job was acknowledged."""
        info = await self.nc.jetstream().stream_info(streams.JOBS)
        return info.state.messages == 0

    async def _on_message(self, msg: Msg) -> None:
        async with self._news:
            self._heard.append((msg.subject, json.loads(msg.data)))
            self._news.notify_all()


class Pipe:
    """A named pipe that a script reads a line from (`read < pipe`), until the test lets it go on."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # For both directions: opening it so waits for nobody, and what is written waits for its reader.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def let_go(self) -> None:
        """Have the script go on, now or when it comes to read."""
        os.write(self._fd, b"\n")

    def read(self) -> None:
        """Wait, in a thread, until a script has written a line."""
        os.read(self._fd, 1)

    def close(self) -> None:
        """Nobody waits for it any more."""
        os.close(self._fd)


def processes_of(workspace_id: str) -> list[processes.Process]:
    """Every process of a workspace, on this machine."""
    return processes.carrying("WORKSPACED_WORKSPACE_ID", workspace_id)


def names_in(folder: Path) -> list[str]:
    """What is in it, sorted."""
    return sorted(entry.name for entry in folder.iterdir())


def command_line_of(process: processes.Process) -> str:
    """As everybody on this machine may read it."""
    return Path(f"/proc/{process.pid}/cmdline").read_text()


def record_of(root: Path, job: Body) -> WorkspaceRecord:
    """What the provisioner remembers of the job's workspace."""
    record = Folder(root, job["workspace"]["id"]).record()
    assert record is not None
    return record


# On uvloop, as `workspaced provisioner` runs.
PROVISIONER = """
import sys
from pathlib import Path
import uvloop
from msgspec import json
from workspaced.provisioners.agent.config import NatsLogin
from workspaced.provisioners.local.program import ProvisionerConfig, run_provisioner
nats, agent, root, end_agents = json.decode(sys.stdin.buffer.read(), type=tuple[NatsLogin, NatsLogin, str, bool])
sys.exit(uvloop.run(run_provisioner(ProvisionerConfig(nats, agent, Path(root), end_agents=end_agents))))
"""


@asynccontextmanager
async def provisioner_process(
    engine: Engine, root: Path, *, end_agents: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A local provisioner as a process of its own, to be killed in the block; else it ends with it, exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", PROVISIONER, stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    config = (engine.login("provisioner"), engine.login("agent"), str(root), end_agents)
    process.stdin.write(msgspec.json.encode(config))
    process.stdin.close()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        code = await asyncio.wait_for(process.wait(), SAFETY_NET)
    assert code in {0, -signal.SIGKILL}
