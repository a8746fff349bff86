"""The agent as a program: from its start to `off`."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from nats.errors import Error

from workspaced.bus.agent_client import AgentClient
from workspaced.fsm.durations import parse_duration
from workspaced.provisioners import processes
from workspaced.provisioners.agent.config import CONFIG_VARIABLE, RESTARTED_VARIABLE, AgentConfig, read_config
from workspaced.provisioners.agent.startup import Startup


async def run_agent(config: AgentConfig, stopping: asyncio.Event | None = None, *, restarted: bool = False) -> int:
    """Call home, run the startup script, answer pings until `stopping`; the exit code, 0 after a clean end.

    Without `stopping` SIGTERM and SIGINT stop it. The script starts at once, also while NATS is away. `restarted`: an
    earlier process was this agent.
    """
    stopping = stopping or stop_on_signals()
    client = AgentClient(
        config.workspace_id,
        config.agent_id,
        config.build_id,
        restarted=restarted,
        on_trouble=_changes_only(_print),
    )
    connecting = asyncio.create_task(client.connect(config.nats.url, **config.nats.options()))
    startup = Startup(config, client.lifecycle)
    running = asyncio.create_task(startup.run())
    told = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({connecting, told}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            await connecting  # what is not a matter of trying again ends the agent here: an address that is none
            await told
    except (Error, ValueError) as error:
        _print(f"cannot connect to NATS: {error}")
        return 1
    else:
        return 0
    finally:
        connecting.cancel()
        running.cancel()
        await asyncio.wait({running})
        await _end(config, client, startup)
        told.cancel()


async def _end(config: AgentConfig, client: AgentClient, startup: Startup) -> None:
    client.lifecycle("shutting_down")
    if startup.script is not None:
        startup.script.kill_group(signal.SIGTERM)
    grace = parse_duration(config.stop_grace).total_seconds()
    await processes.end_all(lambda: processes.carrying("WORKSPACED_AGENT_ID", config.agent_id), grace)
    if startup.script is not None:
        await startup.script.wait()
        startup.script.close()
    client.lifecycle("off")
    await client.close()


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def main() -> int:
    """Run the agent that the file named in WORKSPACED_AGENT_CONFIG describes."""
    try:
        config = read_config(Path(os.environ.get(CONFIG_VARIABLE, "")))
    except ValueError as error:
        _print(str(error))
        return 2
    return asyncio.run(run_agent(config, restarted=RESTARTED_VARIABLE in os.environ))


def _print(line: str) -> None:
    with suppress(OSError):  # a full disk must not end the agent
        sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")
        sys.stderr.flush()


def _changes_only(show: Callable[[str], None]) -> Callable[[str], None]:
    """Show a line only when it differs from the one before: an outage repeats itself twice a second."""
    last = ""

    def show_changed(line: str) -> None:
        nonlocal last
        if line != last:
            last = line
            show(line)

    return show_changed
