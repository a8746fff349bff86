"""Processes that are not ours to lose: told apart by start time, watched by pidfd, found by what they carry. Linux.

A pid alone names nobody: it is used again. So a process is its pid with the moment it started, and a signal goes
through a pidfd that was opened first and checked afterwards.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19
"""Fields of /proc/<pid>/stat behind the name: its state, and its start in ticks since the machine started."""

_SWEEPS: Final = 20

_to_reap: Final[set["Process"]] = set()


class Process(NamedTuple):
    """One process for good; `started` is boot and start time."""

    pid: int
    started: str

    @property
    def running(self) -> bool:
        """Whether it has not ended; a zombie has."""
        return _stat(self.pid) is not None and identify(self.pid) == self and not _is_zombie(self.pid)


def identify(pid: int) -> Process | None:
    """The process that has this pid now, running or not yet reaped."""
    stat = _stat(pid)
    return Process(pid, f"{_boot()}:{stat[_STARTED]}") if stat else None


def carrying(name: str, value: str) -> list[Process]:
    """Every other process that was started with `name=value` in its environment, and that we may look at."""
    wanted, found = f"\0{name}={value}\0".encode(), []
    if not _PROC.is_dir():  # not Linux
        return []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # ended meanwhile, or somebody else's
            if wanted in b"\0" + (entry / "environ").read_bytes():
                process = identify(int(entry.name))
                if process is not None and process.running:
                    found.append(process)
    return found


def reap_at_end(process: Process) -> None:
    """Have `until_end` reap this child, which nobody else waits for.

    A child of asyncio's must be left to it: uvloop waits for ever for one that somebody else has reaped.
    """
    _to_reap.add(process)


async def until_end(process: Process) -> None:
    """Return when `process` has ended, child of ours or not."""
    with _pidfd(process) as fd:
        if fd is not None:
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            loop.add_reader(fd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(fd)
    if process in _to_reap:
        _to_reap.discard(process)
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)  # noqa: ASYNC222  # does not wait


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal, unless the process has ended and its pid may be another's."""
    with _pidfd(process) as fd, suppress(ProcessLookupError):
        if fd is not None:
            signal.pidfd_send_signal(fd, number)


async def end(processes: Iterable[Process], grace: float) -> None:
    """SIGTERM; SIGKILL to those that still run after `grace` seconds; return when all have ended."""
    awaited = [(process, asyncio.create_task(until_end(process))) for process in processes]
    if not awaited:
        return
    for process, _ in awaited:
        send(process, signal.SIGTERM)
    try:
        await asyncio.wait([task for _, task in awaited], timeout=grace)
        for process, task in awaited:
            if not task.done():
                send(process, signal.SIGKILL)
        await asyncio.wait([task for _, task in awaited])
    finally:
        for _, task in awaited:
            task.cancel()


async def end_all(find: Callable[[], list[Process]], grace: float) -> None:
    """End what `find` finds, and again what that forked meanwhile, until it finds nothing twice.

    Once is not enough: a process that becomes another program just then shows no environment.
    """
    found_nothing = False
    for _ in range(_SWEEPS):
        # In a thread: looking through all processes of a machine takes milliseconds.
        found = await asyncio.to_thread(find)
        if not found and found_nothing:
            return
        found_nothing = not found
        if found:
            await end(found, grace)
            grace = 0


@contextmanager
def _pidfd(process: Process) -> Iterator[int | None]:
    """A handle on `process`, None when it has ended."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield fd if identify(process.pid) == process else None
    finally:
        os.close(fd)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # the name before it may hold anything, spaces and parentheses too


def _is_zombie(pid: int) -> bool:
    stat = _stat(pid)
    return stat is None or stat[_STATE] in {"Z", "X"}


@cache
def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
