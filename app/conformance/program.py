"""The program under test: started, killed, stopped and frozen as a machine would do it."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from workspaced.app.conformance.wire import Failed, Skipped

END_LIMIT_S: Final = 15.0


class Program:
    """A command with an environment of its own; without one somebody else runs it, and some checks are left out."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path | None = None) -> None:
        """Its output goes to `log`, or to a file that is gone with us."""
        self._command = list(command)
        self._environ = dict(environ)
        self._log = log.open("w+b") if log else tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._process: subprocess.Popen[bytes] | None = None

    def need_command(self) -> None:
        """Raises Skipped when we cannot start and end it."""
        if not self._command:
            raise Skipped("needs the program's command, to start and kill it")

    def start(self, **environ: str) -> None:
        """Start it, unless it runs. Raises Skipped without a command, Failed when there is no such program."""
        self.need_command()
        if self._process is None or self._process.poll() is not None:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environ | environ,
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failed(f"{self._command[0]} cannot be started: {error.strerror}") from None

    def kill(self) -> None:
        """SIGKILL, without a word before."""
        self.need_command()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: what a suspended machine does."""
        self.need_command()
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def ask_to_end(self) -> None:
        """SIGTERM."""
        self.need_command()
        self._send(signal.SIGTERM)

    def end(self) -> int | None:
        """SIGTERM, then SIGKILL for one that does not go; its exit code, None when none ran."""
        if self._process is None:
            return None
        self._send(signal.SIGTERM)
        try:
            code = self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"it did not end within {END_LIMIT_S:.0f} s of SIGTERM") from None
        self._process = None
        return code

    def fault(self) -> str | None:
        """What became of it, when it should run and does not."""
        if self._process is None or self._process.poll() is None:
            return None
        self._log.flush()
        size = os.fstat(self._log.fileno()).st_size
        said = os.pread(self._log.fileno(), 4096, max(0, size - 4096))
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return f"the program ended with code {self._process.returncode}: {last[0][:300]}"

    def close(self) -> None:
        """Leave nothing running."""
        with suppress(Failed):
            self.end()
        self._log.close()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
