"""`workspaced demo`: one chat from nothing to ready and back, on real servers, told as it happens."""

import asyncio
import time
from datetime import timedelta
from typing import Final

from workspaced.app import demo_latency
from workspaced.app.demo_story import Story
from workspaced.app.render import say, title
from workspaced.app.sources import Sources
from workspaced.app.stack import Stack, running_stack
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.fsm.errors import WorkspacedError
from workspaced.provisioners import processes

PATIENCE: Final = timedelta(seconds=60)
"""A safety net: what hangs for so long ends the demo."""


async def run_demo(sources: Sources) -> None:
    """Run the whole story. Raises WorkspacedError when it does not go as told."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()), running_stack(sources, [demo_latency.TAG]) as stack:
            title("both servers, an engine and a provisioner")
            say(f"  up after {time.monotonic() - began:.1f} s in {stack.folder}")
            started = _servers(stack)
            login = stack.login("admin")
            client = await WorkspacedClient.connect(login.url, **login.options())
            async with client:
                story = Story(stack, client)
                await story.tell()
                await _tell_latency(stack, client)
    except TimeoutError:
        raise WorkspacedError(f"the demo did not end within {PATIENCE.total_seconds():.0f} s") from None
    left = [one.pid for one in (*started, *story.processes()) if one.running]
    if left:
        raise WorkspacedError(f"the demo left processes behind: {', '.join(map(str, left))}")
    say()
    say(f"done in {time.monotonic() - began:.1f} s; no process is left")


async def _tell_latency(stack: Stack, client: WorkspacedClient) -> None:
    title(f"{demo_latency.RATE} events a second, from publishing one to holding the push that follows from it")
    took = await demo_latency.measure(stack, client)
    say(f"  p50 {took.p50_ms:.1f} ms, p99 {took.p99_ms:.1f} ms over {took.events} events")
    say(f"  each was committed with fsync, which alone takes {took.fsync_ms:.1f} ms on this disk now")


def _servers(stack: Stack) -> list[processes.Process]:
    found = (processes.identify(server.pid) for server in (stack.servers.nats, stack.servers.postgres))
    return [process for process in found if process is not None]
