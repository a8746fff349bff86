"""The agent processes of one provisioner: started detached, adopted after a restart, started again when they die."""

import asyncio
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from typing import Final

import msgspec

from workspaced.provisioners import processes
from workspaced.provisioners.agent.config import CONFIG_VARIABLE, RESTARTED_VARIABLE, AgentConfig
from workspaced.provisioners.local.folder import AgentRecord, Folder, WorkspaceRecord
from workspaced.provisioners.local.limits import Limits, limit

_log = logging.getLogger(__name__)

# -P: the workspace's folder must not lend the agent its modules.
COMMAND: Final = (
    sys.executable,
    "-P",
    "-c",
    "import sys; from workspaced.provisioners.agent.program import main; sys.exit(main())",
)

INHERITED: Final = frozenset({
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHONPATH", "SHELL", "TERM", "TMPDIR",
    "TZ", "USER",
})  # fmt: skip
"""What an agent and its scripts get of the provisioner's environment, which may hold passwords."""

RESTARTS: Final = 5
FIRST_PAUSE: Final = 0.1
STABLE: Final = 60.0
"""An agent that dies is started again this often, after pauses that double; one that ran for a minute starts counting
anew. Seconds."""


class Agents:
    """Starts, watches and ends agents; every change is in `agent.json` before anybody is told."""

    def __init__(self, *, stop_grace: timedelta, supervise: bool = True, limits: Limits | None = None) -> None:
        """`stop_grace` is what an agent gets between SIGTERM and SIGKILL; `limits` are its and its scripts' own."""
        self._limits = limits or {}
        self._grace = stop_grace.total_seconds()
        self._restarts = RESTARTS if supervise else 0
        self._watches: dict[str, list[asyncio.Task[None]]] = {}

    def start(self, folder: Folder, record: WorkspaceRecord) -> WorkspaceRecord:
        """Start all agents of `record`, none of which runs; the record as it is then. Raises OSError."""
        return self._keep(folder, record, {})

    async def ensure(self, folder: Folder, record: WorkspaceRecord) -> WorkspaceRecord:
        """Adopt those agents of `record` that run, start the others; the record as it is then. Raises OSError."""
        running = {}
        for agent in record.agents:
            if agent.process is not None and agent.process.running:
                running[agent.id] = agent.process
            # Started, and we ended before that was recorded?
            elif found := await asyncio.to_thread(
                processes.carrying, CONFIG_VARIABLE, str(folder.agent_file(agent.id, "config.json"))
            ):
                running[agent.id] = found[0]
        return self._keep(folder, record, running)

    def _keep(self, folder: Folder, record: WorkspaceRecord, running: dict[str, processes.Process]) -> WorkspaceRecord:
        self._forget(folder.workspace_id)
        watches = self._watches.setdefault(folder.workspace_id, [])
        for agent in record.agents:
            process = running.get(agent.id) or _launch(folder, agent, self._limits, again=agent.process is not None)
            record = _put(folder, record, agent, process)
            watches.append(asyncio.create_task(self._watch(folder, agent, process)))
        return record

    async def end(self, folder: Folder) -> None:
        """End every process of the workspace: its agents by their leave, then what scripts left behind."""
        self._forget(folder.workspace_id)
        await end_workspace(folder, self._grace)

    def release(self) -> None:
        """Watch no more; the agents go on."""
        for workspace_id in list(self._watches):
            self._forget(workspace_id)

    def _forget(self, workspace_id: str) -> None:
        for watch in self._watches.pop(workspace_id, []):
            watch.cancel()

    async def _watch(self, folder: Folder, agent: AgentRecord, process: processes.Process) -> None:
        """Start the agent again whenever it dies, same id, same build; a child of ours is reaped in any case."""
        name = f"agent {agent.name} of workspace {folder.workspace_id}"
        deaths = 0
        while True:
            since = time.monotonic()
            await processes.until_end(process)
            deaths = 1 if time.monotonic() - since > STABLE else deaths + 1
            if deaths > self._restarts:
                _log.error("%s died and is not started again", name)
                return
            _log.warning("%s died; starting it again", name)
            await asyncio.sleep(FIRST_PAUSE * 2 ** (deaths - 1))
            # What its scripts left running would be there twice.
            await processes.end_all(lambda: processes.carrying("WORKSPACED_AGENT_ID", agent.id), self._grace)
            try:
                process = _launch(folder, agent, self._limits, again=True)
                if record := folder.record():
                    _put(folder, record, agent, process)
            except OSError as error:
                _log.error("%s cannot be started again: %s", name, error)
                return


async def end_workspace(folder: Folder, grace: float) -> None:
    """End every process of a workspace. Agents get SIGTERM first, for they end their scripts and say farewell."""
    record = folder.record()
    agents = [agent.process for agent in (record.agents if record else ()) if agent.process is not None]
    await processes.end(agents, grace)
    await processes.end_all(lambda: processes.carrying("WORKSPACED_WORKSPACE_ID", folder.workspace_id), grace)


def inherited() -> dict[str, str]:
    """What agents and scripts get of our own environment."""
    return {name: value for name, value in os.environ.items() if name in INHERITED}


def write_config(folder: Folder, config: AgentConfig) -> None:
    """Leave an agent's configuration where its process looks for it."""
    folder.write(folder.agent_file(config.agent_id, "config.json"), msgspec.json.encode(config))


def _launch(folder: Folder, agent: AgentRecord, limits: Limits, *, again: bool) -> processes.Process:
    """Start an agent in a session of its own, so that it outlives us; `again` when it ran before. Raises OSError."""
    environment = inherited() | {
        CONFIG_VARIABLE: str(folder.agent_file(agent.id, "config.json")),
        # By these whatever it starts is found when it is to end.
        "WORKSPACED_WORKSPACE_ID": folder.workspace_id,
        "WORKSPACED_AGENT_ID": agent.id,
    }
    if again:
        environment[RESTARTED_VARIABLE] = "1"
    log = folder.open_log(folder.agent_file(agent.id, "agent.log"))
    try:
        pid = os.posix_spawn(
            COMMAND[0],
            COMMAND,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),  # a pipe of ours would end with us and keep our callers waiting
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
        )
    finally:
        os.close(log)
    process = processes.identify(pid)
    if process is None:  # not reaped yet, so it is there
        raise ChildProcessError(f"process {pid} is not in /proc")
    limit(process, limits)  # it is an interpreter that has not read a line yet
    processes.reap_at_end(process)
    return process


def _put(folder: Folder, record: WorkspaceRecord, agent: AgentRecord, process: processes.Process) -> WorkspaceRecord:
    changed = msgspec.structs.replace(agent, pid=process.pid, started=process.started)
    agents = tuple(changed if known.id == agent.id else known for known in record.agents)
    if agents != record.agents:
        record = msgspec.structs.replace(record, agents=agents)
        folder.write_record(record)
    return record
