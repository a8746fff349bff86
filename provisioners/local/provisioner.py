"""Jobs as folders and processes. Every job may come twice: what stands already is kept, what is missing is made."""

import asyncio
import logging
import os
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import msgspec

from workspaced.bus.job_in_hand import JobFailed, JobInHand
from workspaced.fsm.durations import format_duration
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport
from workspaced.provisioners.agent.config import AgentConfig, NatsLogin, read_config
from workspaced.provisioners.local.agents import Agents, end_workspace, write_config
from workspaced.provisioners.local.build import run_build_script, wait_unless_canceled
from workspaced.provisioners.local.folder import AgentRecord, Folder, WorkspaceRecord, folders
from workspaced.provisioners.local.limits import Limits
from workspaced.provisioners.local.source import Source, script_environment, source_of

_log = logging.getLogger(__name__)


class LocalProvisioner:
    """Workspaces under one root folder. `handle` is the handler for a ProvisionerClient."""

    def __init__(
        self,
        root: Path,
        agent_login: NatsLogin,
        *,
        supervise: bool = True,
        startup_script_timeout: timedelta = timedelta(0),
        stop_grace: timedelta = timedelta(seconds=10),
        limits: Limits | None = None,
    ) -> None:
        """`agent_login` is how agents connect; with `supervise` an agent that dies is started again.

        Raises OSError when `root` cannot be made, or this is not Linux.
        """
        if not hasattr(os, "pidfd_open"):
            raise OSError("the local provisioner needs Linux: it finds processes in /proc and watches them by pidfd")
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root = root.resolve()
        self._login = agent_login
        self._startup_script_timeout = format_duration(startup_script_timeout)
        self._stop_grace = stop_grace
        self._agents = Agents(stop_grace=stop_grace, supervise=supervise, limits=limits)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take_over(self) -> None:
        """Adopt the agents of a former provisioner on this root; start those again that should run and do not."""
        for folder in folders(self.root):
            record = folder.record()
            if record is None or not record.agents:
                continue
            try:
                if not self._same_login(folder, record):
                    await self._agents.end(folder)  # it would call a server for ever that is not there any more
                await self._agents.ensure(folder, record)
            except (OSError, ValueError) as error:
                _log.error("workspace %s cannot be taken over: %s", folder.workspace_id, error)

    def release(self) -> None:
        """Let the agents go on without us."""
        self._agents.release()

    async def handle(self, job: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        """Do a job. Raises JobFailed with a text for users, or JobCanceled."""
        try:
            folder = Folder(self.root, job.workspace.id)
            # A lost lease may bring the next attempt before the last one has ended.
            async with self._locks[folder.workspace_id]:
                match job.transition:
                    case "start":
                        return await self._start(folder, job, hand)
                    case "stop":
                        await self._stop(folder, hand)
                    case "delete":
                        await self._stop(folder, hand)
                        await asyncio.to_thread(folder.remove)
                        self._locks.pop(folder.workspace_id, None)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise JobFailed(f"the local provisioner could not {job.transition} the workspace: {reason}") from error
        return ()

    async def _start(self, folder: Folder, job: Job, hand: JobInHand) -> tuple[AgentReport, ...]:
        source = source_of(job)
        environment = script_environment(source, job)
        record = folder.record()
        if record is not None and record.build_id == job.build_id and record.agents:
            hand.log("agents", "info", "this build was done before; its agents are kept")
            record = await self._agents.ensure(folder, record)
        else:
            await wait_unless_canceled(hand, source.delay())
            if folder.exists:
                hand.log("prepare", "info", "ending what runs of the former build")
                await self._agents.end(folder)
            folder.make()
            if source.build_script:
                script = folder.private / "build.sh"
                folder.write(script, source.build_script.encode())
                await run_build_script(script, folder.path, environment, job.job_id, hand)
            record = self._agents.start(folder, self._render(folder, job, source, environment))
        for agent in record.agents:
            hand.log("agents", "info", f"agent {agent.name} runs as process {agent.pid}")
        return tuple(
            AgentReport(agent.id, agent.name, display_order=order, created_at=agent.created_at)
            for order, agent in enumerate(record.agents)
        )

    def _render(self, folder: Folder, job: Job, source: Source, environment: dict[str, str]) -> WorkspaceRecord:
        """Write what the agents need; recorded last, so that a record means that all of it is there."""
        script: Path | None = None
        if source.startup_script:
            script = folder.private / "startup.sh"
            folder.write(script, source.startup_script.encode())
        agents = []
        for name in source.agents:
            # Made of the build's id, so that it is the same one when the job comes again.
            agent_id = str(uuid5(UUID(job.build_id), name))
            agents.append(AgentRecord(agent_id, name, datetime.now(UTC)))
            config = AgentConfig(
                workspace_id=folder.workspace_id,
                build_id=job.build_id,
                agent_id=agent_id,
                agent_name=name,
                nats=self._login_of(agent_id, job),
                folder=str(folder.path),
                startup_script=str(script) if script else None,
                startup_script_timeout=source.startup_script_timeout or self._startup_script_timeout,
                stop_grace=format_duration(self._stop_grace / 2),  # the other half is for its farewell
                startup_log=str(folder.agent_file(agent_id, "startup.log")),
                environment=environment,
            )
            write_config(folder, config)
        record = WorkspaceRecord(folder.workspace_id, job.build_id, job.job_id, tuple(agents))
        folder.write_record(record)
        return record

    async def _stop(self, folder: Folder, hand: JobInHand) -> None:
        """End everything; the folder stays, without the passwords."""
        record = folder.record()
        hand.log("agents", "info", "ending the workspace's agents")
        await self._agents.end(folder)
        if record is None:
            return
        folder.write_record(msgspec.structs.replace(record, agents=()))
        for agent in record.agents:
            with suppress(FileNotFoundError):
                folder.agent_file(agent.id, "config.json").unlink()

    def _login_of(self, agent_id: str, job: Job) -> NatsLogin:
        if job.agent_secret is None:
            return self._login
        password = f"{job.build_id}.{job.agent_secret}"  # wire.md section 6
        return NatsLogin(self._login.url, agent_id, password, f"_INBOX_{agent_id}", tls=self._login.tls)

    def _same_login(self, folder: Folder, record: WorkspaceRecord) -> bool:
        """Whether the agents' configurations are of today; those that are not are written anew."""
        same = True
        for agent in record.agents:
            config = read_config(folder.agent_file(agent.id, "config.json"))
            login = self._login
            if config.nats.user == agent.id:  # by its build's secret
                login = msgspec.structs.replace(config.nats, url=login.url, tls=login.tls)
            if login != config.nats:
                write_config(folder, msgspec.structs.replace(config, nats=login))
                same = False
        return same


async def end_all_agents(root: Path, grace: timedelta = timedelta(seconds=10)) -> None:
    """End every agent under `root` and what their scripts started; the next provisioner starts them again."""
    ending = [end_workspace(folder, grace.total_seconds()) for folder in folders(root)]
    await asyncio.gather(*ending)
