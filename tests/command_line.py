"""The console script as a person has it: run to its end, or left running and told to end."""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

SAFETY_NET = 60.0
"""Seconds after which a test gives up; never the thing measured."""


def program() -> str:
    """The `workspaced` of this environment."""
    found = shutil.which("workspaced", path=sysconfig.get_path("scripts"))
    assert found is not None
    return found


class CommandLine:
    """Runs `workspaced` with an environment of its own: nothing of ours leaks in."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        ours = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("WORKSPACED_", "NATS_", "DATABASE_"))
        }
        self.environ = ours | dict(environ)

    def but(self, **environ: str) -> Self:
        """One whose environment has these too."""
        return type(self)(self.environ | environ)

    def run(self, *arguments: str | Path, limit: float = SAFETY_NET) -> subprocess.CompletedProcess[str]:
        """What it printed and its exit code, within `limit` seconds."""
        return subprocess.run(
            [program(), *map(str, arguments)],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
            stdin=subprocess.DEVNULL,
        )

    def json(self, *arguments: str | Path) -> Any:  # noqa: ANN401  # JSON
        """Its one document; it must end well."""
        done = self.run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr, done.stdout)
        return json.loads(done.stdout)

    def lines(self, *arguments: str | Path) -> list[str]:
        """Its lines; it must end well."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr, done.stdout)
        return done.stdout.splitlines()

    @contextmanager
    def up(self) -> Iterator[None]:
        """With a stack that is up, and ends well."""
        with self.running("up", "--json") as up:
            assert up.stdout.readline(), up.stderr.read()
            yield
            assert up.end() == 0

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator["Running"]:
        """Left running; killed at the end of the block if the test did not end it."""
        process = subprocess.Popen(
            [program(), *map(str, arguments)],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,  # as a shell does it, so that `interrupt` is felt by its children and not by us
        )
        with process:
            try:
                yield Running(process)
            finally:
                if process.poll() is None:
                    process.kill()


class Running:
    """A command that runs on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdout: IO[str] = process.stdout
        self.stderr: IO[str] = process.stderr

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(SAFETY_NET)

    def interrupt(self) -> int:
        """Ctrl-C on its terminal: SIGINT to it and to every child in its process group; its exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(SAFETY_NET)


def processes_about(folder: Path) -> list[str]:
    """Command lines of processes that have `folder` in their arguments or environment, ours excepted."""
    found, wanted = [], str(folder).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if wanted in command or wanted in (entry / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found
