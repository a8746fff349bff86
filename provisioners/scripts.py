"""Running a bash script in a process group of its own, with its output as it comes."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

NOT_FOUND: Final = 127
"""The exit code of a script that could not be started, as a shell gives it."""

_SIGNALED: Final = 128


class Script:
    """A running script. Processes it leaves behind keep writing to its output until they end too."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.ReadTransport, drained: asyncio.Event
    ) -> None:
        self._process = process
        self._reader = reader
        self._drained = drained

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self._process.pid

    @classmethod
    async def start(
        cls, path: Path, folder: Path, environment: Mapping[str, str], on_output: Callable[[bytes], None]
    ) -> Self:
        """Run `path` by bash in `folder`. `on_output` gets stdout and stderr in pieces. Raises OSError."""
        # A pipe of our own: the event loop's own pipes would make it wait for everybody who holds them, and a script
        # may leave a server running.
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                shutil.which("bash", path=environment.get("PATH")) or "/bin/bash",
                str(path),
                cwd=folder,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,  # a group of its own, to be signaled whole; uvloop knows no process_group
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        drained = asyncio.Event()
        reader, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Output(on_output, drained), os.fdopen(read_end, "rb", 0)
        )
        return cls(process, reader, drained)

    async def wait(self) -> int:
        """The exit code, as a shell gives it: 128 and the signal's number when one ended it."""
        code = await self._process.wait()
        return _SIGNALED - code if code < 0 else code

    async def output_ended(self, limit: float) -> None:
        """Wait until its output has been read to the end, at most `limit` seconds: others may hold it open."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), limit)

    def kill_group(self, number: signal.Signals) -> None:
        """Signal the script and those it started, unless it has ended (its group's id may be another's then)."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        """Read no more."""
        self._reader.close()


class Lines:
    """Pieces of output as lines of text; a line that does not end is given out in parts."""

    def __init__(self, on_line: Callable[[str], None], longest: int = 65_536) -> None:
        self._on_line = on_line
        self._longest = longest
        self._begun = b""

    def feed(self, data: bytes) -> None:
        """Take a piece, give out the lines that are complete."""
        *complete, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) >= self._longest:
            complete.append(self._begun)
            self._begun = b""
        for line in complete:
            self._on_line(line.decode(errors="replace").rstrip("\r"))

    def end(self) -> None:
        """Give out the last line, if it has no end."""
        if self._begun:
            self.feed(b"\n")


class _Output(asyncio.Protocol):
    def __init__(self, on_output: Callable[[bytes], None], drained: asyncio.Event) -> None:
        self._on_output = on_output
        self._drained = drained

    def data_received(self, data: bytes) -> None:
        self._on_output(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._drained.set()
