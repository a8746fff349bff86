"""A provisioner of a chaos run: a process of its own whose agents live in an agents' process. Configured by stdin."""

import asyncio
import json
import random
import sys
from datetime import timedelta
from uuid import NAMESPACE_OID, uuid5

from nats.aio.client import Client
from nats.errors import Error

from workspaced.bus.connection import open_connection
from workspaced.bus.job_in_hand import JobCanceled, JobFailed, JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport

Agents = tuple[AgentReport, ...]


class Provisioner:
    """Builds for a moment, fails now and then, and has a host start or end the agents."""

    def __init__(self, connection: Client, seed: int) -> None:
        self._connection = connection
        self._chance = random.Random(seed)  # noqa: S311 - not a secret

    async def work(self, job: Job, hand: JobInHand) -> Agents:
        """One job; every attempt at it names the same agent."""
        hand.log("build", "info", f"{job.transition} of {job.workspace.name}")
        try:
            async with asyncio.timeout(self._chance.uniform(0.05, 0.8)):
                await hand.canceled.wait()
            raise JobCanceled
        except TimeoutError:
            pass
        if self._chance.random() < 0.04:  # noqa: PLR2004 - some builds fail
            raise JobFailed("the dice said no")
        agent = str(uuid5(NAMESPACE_OID, job.build_id))
        asked = {"workspace": job.workspace.id, "build": job.build_id, "agent": agent, "transition": job.transition}
        asked |= {"secret": job.agent_secret or ""}
        await self._ask_host(asked)
        return (AgentReport(agent, "main"),) if job.transition == "start" else ()

    async def _ask_host(self, asked: dict[str, str]) -> None:
        """Until a host answers: they may be away for a while."""
        while True:
            try:
                await self._connection.request("chaos.host", json.dumps(asked).encode(), timeout=1)
            except (Error, OSError):
                await asyncio.sleep(0.2)
            else:
                return


async def main() -> None:
    """Work until killed."""
    given = json.loads(sys.stdin.readline())
    connection = await open_connection(given["url"], **given["login"], name="chaos provisioner")
    client = ProvisionerClient(
        connection, "chaos", worker=given["name"], concurrency=32, cancel_grace=timedelta(seconds=5)
    )
    print("up", flush=True)
    await client.run(Provisioner(connection, given["seed"]).work)


asyncio.run(main())
