"""A client as a process that ends itself: `doomed_client.py ROLE MOMENT END`, what it needs as JSON on stdin.

It says what it has come to, a line each. An empty MOMENT never comes; END is `die` (SIGKILL) or `stall` (SIGSTOP).
"""

import asyncio
import os
import signal
import sys
from uuid import NAMESPACE_OID, uuid5

import msgspec
from msgspec import Struct

from workspaced.bus.agent_client import AgentClient
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.connection import open_connection
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.moments import Moments
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.commands import Create
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport

ENDS = {"die": signal.SIGKILL, "stall": signal.SIGSTOP}


class Given(Struct):
    """The login, and what the role needs."""

    url: str
    user: str
    password: str
    inbox_prefix: str
    create: Create | None = None
    agent: tuple[str, str, str] | None = None
    """Its workspace, itself, its build."""
    restarted: bool = False


def agent_of(build_id: str) -> str:
    """The agent that a build brings, whoever carries it out, and however often."""
    return str(uuid5(NAMESPACE_OID, build_id))


def say(text: str) -> None:
    """Tell the parent."""
    print(text, flush=True)  # noqa: T201  # the parent waits for it


async def chat(given: Given, moments: Moments) -> None:
    """Ask for a workspace and wait until it is ready."""
    connection = await open_connection(
        given.url, user=given.user, password=given.password, inbox_prefix=given.inbox_prefix, name="doomed"
    )
    client = WorkspacedClient(connection, moments=moments)
    assert given.create is not None
    reply = await client.send(given.create)
    say(reply.build_id or "none")
    async with client.watch(given.create.chat_id) as snapshots:
        say("watching")
        async for snapshot in snapshots:
            say(snapshot.state)


async def provisioner(given: Given, moments: Moments) -> None:
    """Carry out whatever comes, at once."""
    connection = await open_connection(
        given.url, user=given.user, password=given.password, inbox_prefix=given.inbox_prefix, name="doomed"
    )

    async def handle(job: Job, _hand: JobInHand) -> tuple[AgentReport, ...]:
        return (AgentReport(agent_of(job.build_id), "main"),)

    await ProvisionerClient(connection, "local", moments=moments).run(handle)


async def agent(given: Given, moments: Moments) -> None:
    """Connect, start, be ready, stay."""
    assert given.agent is not None
    client = AgentClient(*given.agent, restarted=given.restarted, moments=moments)
    await client.connect(given.url, user=given.user, password=given.password, inbox_prefix=given.inbox_prefix.encode())
    client.lifecycle("starting")
    client.lifecycle("ready")
    await client.flushed()
    say("told")
    await asyncio.Event().wait()


ROLES = {"chat": chat, "provisioner": provisioner, "agent": agent}


async def main(role: str, moment: str, end: str) -> None:
    """Play the role until the moment."""
    moments = Moments()

    async def come_to_the_end() -> None:
        del moments.at[moment]
        os.kill(os.getpid(), ENDS[end])

    if moment:
        moments.at[moment] = come_to_the_end
    await ROLES[role](msgspec.json.decode(sys.stdin.buffer.read(), type=Given), moments)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
