"""Provisioners and agents on the shipped clients, which come through whatever happens to their server."""

import asyncio
from uuid import NAMESPACE_OID, uuid5

from nats.aio.client import Client

from tests.servers import Reachable
from workspaced.bus.agent_client import AgentClient
from workspaced.bus.connection import open_connection
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport


class Crew:
    """One provisioner, and the agents of what it builds, each at one of `homes` in turn, if it is there."""

    def __init__(self, homes: list[Reachable]) -> None:
        self._homes = homes
        self._connections: list[Client] = []
        self._working: asyncio.Task[None] | None = None
        self._provisioner: ProvisionerClient
        self.agents: dict[str, AgentClient] = {}
        """By id."""

    async def start(self) -> None:
        """Take jobs."""
        home = self._homes[0]
        who = home.roles["provisioner"]
        connection = await open_connection(
            home.url,
            user=who.user,
            password=who.password,
            inbox_prefix=who.inbox_prefix,
            on_reconnected=self._reconnected,
        )
        self._connections.append(connection)
        self._provisioner = ProvisionerClient(connection, "local", worker="crew")
        self._working = asyncio.create_task(self._provisioner.run(self._work))

    async def close(self) -> None:
        """End everything."""
        await self._provisioner.drain()
        if self._working is not None:
            await self._working
        for agent in self.agents.values():
            await agent.close()
        for connection in self._connections:
            await connection.close()

    async def _reconnected(self) -> None:
        await self._provisioner.reconnected()

    async def _work(self, job: Job, _hand: JobInHand) -> tuple[AgentReport, ...]:
        if job.transition != "start":
            return ()
        agent_id = str(uuid5(NAMESPACE_OID, job.build_id))
        if agent_id not in self.agents:  # every attempt at a job brings the same one
            home = self._homes[len(self.agents) % len(self._homes)]
            who = home.roles["agent"]
            agent = self.agents[agent_id] = AgentClient(job.workspace.id, agent_id, job.build_id)
            await agent.connect(
                ",".join(each.url for each in [home, *self._homes]),
                user=who.user,
                password=who.password,
                inbox_prefix=who.inbox_prefix,
                dont_randomize=True,
            )
            agent.lifecycle("starting")
            agent.lifecycle("ready")
        return (AgentReport(agent_id, "main"),)
