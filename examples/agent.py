"""An agent in sixty lines besides imports, made from docs/protocol.md alone: nats-py, nothing of ours.

It runs the workspace's startup script, tells how that goes, and answers pings until SIGTERM.
"""

import asyncio
import json
import os
import re
import signal
import uuid
from asyncio.subprocess import Process
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import nats
from nats.aio.msg import Msg
from nats.errors import Error

AGENT, BUILD, WORKSPACE = (os.environ[f"AGENT_{name}"] for name in ("ID", "BUILD_ID", "WORKSPACE_ID"))
LOGIN = {name: os.environ[f"WORKSPACED_{name.upper()}"] for name in ("user", "password", "inbox_prefix")}
SCRIPT, LIMIT = os.environ["AGENT_STARTUP_SCRIPT"], os.environ["AGENT_STARTUP_SCRIPT_TIMEOUT"]
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def now() -> str:
    """Now, as the wire has it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Agent:
    """One agent of one build."""

    def __init__(self) -> None:
        self.order = asyncio.Lock()
        self.state: dict[str, Any] = {"state": "starting", "at": now()}

    async def connect(self) -> None:
        """Connect, also when the server closed the connection for good, as it does when a login is over."""
        again: dict[str, Any] = {"reconnected_cb": self.tell_again, "closed_cb": self.connect}
        self.nc = await nats.connect(os.environ["NATS_URL"], **LOGIN, **again, max_reconnect_attempts=-1)
        await self.nc.subscribe(f"ws.agent.{AGENT}.ping", cb=self.pong)
        for subject in ("ws.resync", f"ws.resync.{WORKSPACE}"):
            await self.nc.subscribe(subject, cb=self.tell_again)
        await self.tell_again()

    async def tell(self, kind: str, **more: object) -> None:
        """Publish a report, after those before it, under one id until the stream has it."""
        body, headers = {"at": now(), "build_id": BUILD} | more, {"Nats-Msg-Id": str(uuid.uuid4())}
        async with self.order:
            while True:
                link = {name: self.nc._server_info[name] for name in ("server_id", "client_id")}  # noqa: SLF001  # the INFO line
                subject, data = f"ws.event.{WORKSPACE}.agent.{AGENT}.{kind}", json.dumps(body | link).encode()
                with suppress(Error):
                    await self.nc.jetstream().publish(subject, data, timeout=1, headers=headers)
                    return
                await asyncio.sleep(0.2)

    async def tell_again(self, *_: Msg) -> None:
        """Tell all that is known; the lifecycle first, or that of an earlier process counted for this connection."""
        await self.tell("lifecycle", **self.state)
        await self.tell("connected")

    async def lifecycle(self, state: str, **more: object) -> None:
        """Tell a new one; `at` never goes back, whatever the clock does."""
        self.state = {"state": state, "at": max(now(), self.state["at"])} | more
        await self.tell("lifecycle", **self.state)

    async def pong(self, ping: Msg) -> None:
        """Answer who is here, and how far."""
        known = {"agent_id": AGENT, "build_id": BUILD, "lifecycle": self.state["state"], "at": now()}
        await ping.respond(json.dumps(known).encode())

    async def watch(self, script: Process) -> None:
        """Tell how the startup script ends, and when it takes too long."""
        limit = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)([a-z]+)", LIMIT))
        ending = asyncio.create_task(script.wait())
        if not (await asyncio.wait({ending}, timeout=limit or None))[0]:
            await self.lifecycle("start_timeout")
        code = await ending
        await self.lifecycle("start_error" if code else "ready", exit_code=code)


async def main() -> None:
    """From `starting` to `off`."""
    agent, stopping = Agent(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await agent.connect()
    script = await asyncio.create_subprocess_exec("bash", SCRIPT)
    watching = asyncio.create_task(agent.watch(script))
    await stopping.wait()
    watching.cancel()
    with suppress(ProcessLookupError):
        script.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await agent.lifecycle("shutting_down")
            await script.wait()
            await agent.lifecycle("off")
            await agent.tell("disconnected")


asyncio.run(main())
