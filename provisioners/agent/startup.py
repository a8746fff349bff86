"""The startup script: run once per agent process, its output kept, its end reported (domain.md 10.2)."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workspaced.fsm.durations import parse_duration
from workspaced.fsm.values import Lifecycle
from workspaced.provisioners.agent.config import AgentConfig
from workspaced.provisioners.own_file import open_own
from workspaced.provisioners.scripts import NOT_FOUND, Script

Report = Callable[[Lifecycle, int | None], None]


class Startup:
    """One run of the startup script."""

    def __init__(self, config: AgentConfig, report: Report) -> None:
        self._config = config
        self._report = report
        self.script: Script | None = None

    async def run(self) -> None:
        """Report `starting`, then `ready` or `start_error` with the exit code, `start_timeout` in between if due."""
        self._report("starting", None)
        if self._config.startup_script is None:
            self._report("ready", None)
            return
        try:
            log = _Log(self._config)
            self.script = await Script.start(
                Path(self._config.startup_script),
                Path(self._config.folder),
                self._config.script_environment(os.environ),
                log.write,
            )
        except OSError as error:
            sys.stderr.write(f"the startup script could not be started: {error}\n")
            self._report("start_error", NOT_FOUND)
            return
        limit = parse_duration(self._config.startup_script_timeout).total_seconds()
        ending = asyncio.ensure_future(self.script.wait())
        try:
            await asyncio.wait({ending}, timeout=limit or None)
            if not ending.done():
                self._report("start_timeout", None)
            code = await ending
        finally:
            ending.cancel()
        self._report("start_error" if code else "ready", code)


class _Log:
    """A file that stops growing; opened anew by each run."""

    def __init__(self, config: AgentConfig) -> None:
        self._left = config.startup_log_max_bytes
        self._fd: int | None = None
        if config.startup_log is not None:
            self._fd = open_own(Path(config.startup_log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def write(self, data: bytes) -> None:
        """Keep `data` while there is room for it; a full disk must not stop the script."""
        if self._fd is None or self._left <= 0:
            return
        kept = data[: self._left]
        self._left -= len(data)
        with suppress(OSError):
            os.write(self._fd, kept if self._left > 0 else kept + b"\n(the rest of the output is not kept)\n")
