"""Postgres is restored to an earlier moment by the commands of `docs/upgrades.md`, and catches up with NATS."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from uuid import uuid4

from tests.command_line import program
from tests.e2e.by_hand import as_admin
from tests.e2e.provisioner import an_agent
from tests.e2e.stack import Stack
from workspaced.app.embedded_postgres import PROGRAMS
from workspaced.fsm.state import State

GUIDE = Path(__file__).parents[2] / "docs" / "upgrades.md"


def commands_under(title: str) -> str:
    """What the guide says to run."""
    found = re.search(rf"^## {title}$.*?^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def run(stack: Stack, folder: Path, commands: str) -> None:
    """As an operator with the role admin."""
    environ = as_admin(stack).environ
    path = os.pathsep.join((str(PROGRAMS), str(Path(program()).parent), environ["PATH"]))
    done = subprocess.run(
        ["bash", "-euc", commands],  # noqa: S607  # whichever bash there is
        cwd=folder,
        env=environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_restored_to_an_earlier_moment(stack: Stack, folder: Path) -> None:
    """What was told and asked since the dump is decided again, and what was before it stands as it stood."""
    engine = await stack.engine()
    settled, building, asked = (str(uuid4()) for _ in range(3))
    await stack.ready(settled)
    job = await stack.provisioner.job((await stack.create(building)).build_id)
    await stack.provisioner.tell(job, "running")
    await stack.pushes.until(building, "building")

    await asyncio.to_thread(run, stack, folder, commands_under("Backup"))
    agent = await stack.provisioner.agent(job)
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    await stack.pushes.until(building, "ready")
    await stack.create(asked)
    await stack.stop(engine)
    await asyncio.to_thread(run, stack, folder, commands_under("Restore"))
    restored = await stack.sql("select id::text, state from workspaced.chats")
    await stack.engine()
    caught_up = [
        await stack.client.wait_until(chat, {state})
        for chat, state in ((settled, State.READY), (building, State.READY), (asked, State.CREATING))
    ]

    assert {row["id"]: row["state"] for row in restored} == {settled: "ready", building: "building"}
    assert caught_up[1].agent_id == agent.id
    await stack.provisioner.resynced()
