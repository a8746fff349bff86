"""A host of a chaos run: one process with many agents, each on a connection of its own. Configured by stdin.

What it hosts is kept in a file, so that a host that was killed starts its agents again when it comes back.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from nats.aio.msg import Msg

from workspaced.bus.agent_client import AgentClient
from workspaced.bus.connection import open_connection


class Host:
    """The agents of this process, by workspace."""

    def __init__(self, given: dict[str, object]) -> None:
        self._url = str(given["url"])
        self._kept = Path(str(given["kept"]))
        self._chance = random.Random(int(str(given["seed"])))  # noqa: S311 - not a secret
        self._agents: dict[str, AgentClient] = {}
        self._known: dict[str, dict[str, str]] = json.loads(self._kept.read_text()) if self._kept.exists() else {}
        self._tasks: set[asyncio.Task[None]] = set()

    def come_back(self) -> None:
        """Start what ran when an earlier process died."""
        for asked in self._known.values():
            self._spawn(asked, restarted=True)

    async def on_request(self, message: Msg) -> None:
        """A provisioner wants agents started or ended."""
        asked = json.loads(message.data)
        workspace = asked["workspace"]
        if asked["transition"] == "start":
            if self._known.get(workspace, {}).get("build") != asked["build"]:
                self._end(workspace)
                self._known[workspace] = asked
                self._spawn(asked, restarted=False)
        else:
            self._end(workspace)
            self._known.pop(workspace, None)
        self._kept.write_text(json.dumps(self._known))
        await message.respond(b"{}")

    def _spawn(self, asked: dict[str, str], *, restarted: bool) -> None:
        agent = AgentClient(asked["workspace"], asked["agent"], asked["build"], restarted=restarted)
        self._agents[asked["workspace"]] = agent
        self._keep(self._live(agent, asked["secret"]))

    async def _live(self, agent: AgentClient, secret: str) -> None:
        login = {"user": agent.agent_id, "password": f"{agent.build_id}.{secret}"}
        await agent.connect(self._url, inbox_prefix=f"_INBOX_{agent.agent_id}", **login)
        agent.lifecycle("starting")
        await asyncio.sleep(self._chance.uniform(0.01, 0.5))
        agent.lifecycle("start_error" if self._chance.random() < 0.03 else "ready")  # noqa: PLR2004 - some scripts fail

    def _end(self, workspace: str) -> None:
        if (agent := self._agents.pop(workspace, None)) is not None:
            self._keep(agent.close())

    def _keep(self, work: "asyncio._CoroutineLike[None]") -> None:  # type: ignore[name-defined]  # typeshed's own name
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def main() -> None:
    """Host until killed."""
    given = json.loads(sys.stdin.readline())
    host = Host(given)
    connection = await open_connection(given["url"], **given["login"], name="chaos agents")
    await connection.subscribe("chaos.host", cb=host.on_request)
    host.come_back()
    print("up", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
