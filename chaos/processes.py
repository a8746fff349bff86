"""The programs of a chaos run as processes that may be killed, stopped and started again."""

import asyncio
import json
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from network import Place

RESTART_AFTER = 0.5
HERE = Path(__file__).parent


@dataclass
class Program:
    """How one process is started, and the process of now."""

    name: str
    command: list[str]
    place: Place = field(default_factory=Place)
    given: Mapping[str, object] | None = None
    """Written to its stdin as one line of JSON; it answers `up`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path = Path(os.devnull)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait for `up` where it says so."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.place.entry,
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if self.given is not None else log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        if self.given is not None and self.process.stdin and self.process.stdout:
            self.process.stdin.write(json.dumps(self.given).encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def keep(self) -> None:
        """Start it again whenever it ends by itself, as a service manager would; one that was killed is not its job."""
        while True:
            if self.process is not None and await self.process.wait() >= 0:
                await asyncio.sleep(RESTART_AFTER)
                await self.start()
            else:
                await asyncio.sleep(RESTART_AFTER)

    async def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()

    @property
    def lives(self) -> bool:
        """It has not ended."""
        return self.process is not None and self.process.returncode is None


def script(name: str) -> list[str]:
    """The command that runs a script of this folder."""
    return [sys.executable, "-P", str(HERE / name)]


def console_script() -> str:
    """The installed `workspaced`."""
    found = shutil.which("workspaced", path=sysconfig.get_path("scripts"))
    if found is None:
        raise RuntimeError("workspaced is not installed; run make")
    return found
