"""One server program as our child: started, ended, killed, and found again after our own sudden death.

The child inherits a locked file (`<name>.lock`, which holds its pid). The kernel drops the lock with the last process
that has it, so a lock that cannot be taken means: somebody from an earlier life still runs. A pid file alone cannot
tell that, pids are used again. Postgres' backends inherit the lock too, and it is free only when the last has gone.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from workspaced.fsm.errors import WorkspacedError

LOOK_S = 0.01
"""Neither server tells its parent when it is ready; between looks at what it writes."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerFailed(WorkspacedError):
    """An embedded server did not start; its log has the cause."""

    code = "server_failed"


class ServerProcess:
    """A server that keeps its lock and its log under `folder`.

    `ends` are the signals that end it, the gentle one first: each is given `patience_s`, then comes SIGKILL.
    """

    def __init__(self, name: str, folder: Path, ends: Sequence[signal.Signals], patience_s: float = 10) -> None:
        self.name = name
        self.log = folder / "logs" / f"{name}.log"
        self._lock = folder / "run" / f"{name}.lock"
        self._ends = ends
        self._patience_s = patience_s
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running child's; raises `ServerFailed` when there is none."""
        if self._child is None:
            raise ServerFailed(f"{self.name} does not run")
        return self._child.pid

    async def take_over(self) -> None:
        """End what an earlier process of ours left running from this folder. Raises `ServerFailed` if it won't go."""
        for path in (self.log, self._lock):
            path.parent.mkdir(parents=True, exist_ok=True)
        for ending in (*self._ends, signal.SIGKILL):
            with self._lock.open("a+b") as lock:
                if _locked(lock):
                    return
                lock.seek(0)
                _signal(int(lock.read() or b"0"), ending)
                if await _until(partial(_locked, lock), self._patience_s):
                    return
        raise ServerFailed(f"a {self.name} from before still runs: end it, its pid stands in {self._lock}")

    def spawn(self, argv: Sequence[str | Path], env: Mapping[str, str], user: str | None = None) -> None:
        """Start the program with exactly `env`, as `user` when we are root. Call it on a thread that lives on.

        When that thread ends, the kernel sends the child the first of `ends` (Linux only).
        """
        death = self._ends[0]
        with self._lock.open("a+b") as lock, self.log.open("ab") as log:
            if not _locked(lock):
                raise ServerFailed(f"another {self.name} was started in the same folder at the same time")
            self._child = subprocess.Popen(
                [*argv],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,  # a child that inherits our stdout hangs whoever reads it after we were killed
                stderr=log,
                pass_fds=[lock.fileno()],
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                cwd="/",
                start_new_session=True,  # Ctrl-C is for us: we drain first, then end the servers
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, death) if _libc else None,  # noqa: PLW1509  # one system call, nothing that locks
            )
            lock.truncate(0)
            lock.write(b"%d" % self._child.pid)

    async def ready(self, claim: Callable[[], bool], patience_s: float) -> None:
        """Return once `claim()` holds. Raises `ServerFailed` with the log's last line when the server ends before.

        A server that did not get ready, or was not waited for to the end, is killed.
        """
        child = self._child
        if child is None:
            raise ServerFailed(f"{self.name} was not started")
        try:
            in_time = await _until(lambda: claim() or _gone(child), patience_s)
        except asyncio.CancelledError:
            await self.kill()
            raise
        if _gone(child):
            self._child = None
            lines = self.log.read_text(errors="replace").splitlines() or ["it said nothing"]
            raise ServerFailed(f"{self.name} ended at once: {lines[-1]} (see {self.log})")
        if not in_time:
            await self.kill()
            raise ServerFailed(f"{self.name} was not ready within {patience_s:.0f} s, see {self.log}")

    async def stop(self) -> None:
        """End the child and return once it is gone; nothing happens when none runs."""
        for ending in (*self._ends, signal.SIGKILL):
            if (child := self._child) is None:
                return
            child.send_signal(ending)
            if await _until(partial(_gone, child), self._patience_s):
                self._child = None

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone: what a crash leaves behind, for tests."""
        if self._child is not None:
            self._child.kill()
            await asyncio.to_thread(self._child.wait)
            self._child = None

    async def ended(self) -> int:
        """Wait until the child ends by whatever cause; its exit code, negative for a signal."""
        return -1 if self._child is None else await asyncio.to_thread(self._child.wait)


async def _until(claim: Callable[[], bool], patience_s: float) -> bool:
    """Whether `claim()` came true in time."""
    end = time.monotonic() + patience_s
    while not claim():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _gone(child: subprocess.Popen[bytes]) -> bool:
    return child.poll() is not None


def _locked(file: IO[bytes]) -> bool:
    """Whether we have the lock now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    if pid > 0:
        with suppress(ProcessLookupError):  # gone, and its own children are about to follow: the lock tells when
            os.kill(pid, number)
