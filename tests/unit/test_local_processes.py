"""Processes: told apart though pids repeat, ended though they resist. Linux."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from workspaced.provisioners import processes
from workspaced.provisioners.processes import Process
from workspaced.provisioners.scripts import Lines, Script

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program; it is gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def identity(process: subprocess.Popen[bytes]) -> Process:
    """Of a process that is there."""
    found = processes.identify(process.pid)
    assert found is not None
    return found


def test_pid_that_was_used_again_is_another_process(start: Start) -> None:
    """Same pid, another start: not running as far as we are concerned, and no signal reaches it."""
    sleeper = start("sleep", "1000")
    former = Process(sleeper.pid, "boot:1")
    processes.send(former, signal.SIGKILL)

    assert not former.running
    assert identity(sleeper).running


def test_zombie_does_not_run(start: Start) -> None:
    """It has ended, though its pid is taken."""
    ended = start("true")
    process = identity(ended)
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

    assert not process.running


async def test_end_of_a_process_is_awaited_and_reaped(start: Start) -> None:
    """By pidfd, without polling; one that ended before is no different."""
    sleeper = start("sleep", "1000")
    process = identity(sleeper)
    processes.reap_at_end(process)
    waiting = asyncio.create_task(processes.until_end(process))
    processes.send(process, signal.SIGTERM)
    await waiting
    await processes.until_end(process)

    assert processes.identify(sleeper.pid) is None


def test_end_of_a_script_is_seen_by_whoever_started_it(tmp_path: Path) -> None:
    """Also on uvloop, which waits for ever for a child that was reaped by somebody else."""
    mark = str(uuid.uuid4())
    script = tmp_path / "script.sh"
    script.write_text("exec sleep 1000")

    async def one() -> int:
        running = await Script.start(script, tmp_path, dict(os.environ) | {"MARK": mark}, lambda _: None)
        await processes.end_all(lambda: processes.carrying("MARK", mark), grace=10)
        code = await running.wait()
        running.close()
        return code

    async def some() -> list[int]:
        return [await one() for _ in range(10)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(some()) == [128 + signal.SIGTERM] * 10


async def test_process_that_resists_is_killed(start: Start) -> None:
    """SIGTERM is not heeded, SIGKILL is."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(1000)"
    stubborn = start(sys.executable, "-c", code)
    assert stubborn.stdout is not None
    await asyncio.to_thread(stubborn.stdout.readline)
    process = identity(stubborn)
    await processes.end([process], grace=0.01)

    assert not process.running


async def test_processes_are_found_by_what_they_carry(start: Start) -> None:
    """Exactly name and value; children that left the session are found too, ourselves never."""
    mark = str(uuid.uuid4())
    shell = start("bash", "-c", "setsid bash -c 'echo; kill -STOP $$' & wait", MARK=mark)
    start("sleep", "1000", MARK=mark + "x", XMARK=mark)
    assert shell.stdout is not None
    await asyncio.to_thread(shell.stdout.readline)
    found = processes.carrying("MARK", mark)
    await processes.end_all(lambda: processes.carrying("MARK", mark), grace=0.01)

    assert identity_in(found, shell.pid)
    assert len(found) == 2
    assert processes.carrying("MARK", mark) == []


def identity_in(found: list[Process], pid: int) -> bool:
    """Whether a process with that pid is among them."""
    return pid in {process.pid for process in found}


def test_lines_come_whole() -> None:
    """However the output was cut; a very long one in parts, the last one without its end."""
    got: list[str] = []
    lines = Lines(got.append, longest=8)
    for piece in (b"on", b"e\ntw", b"o\r\n\n", b"123456789", b"0\nr\xc3", b"\xa4\xff"):
        lines.feed(piece)
    lines.end()

    assert got == ["one", "two", "", "123456789", "0", "rä\N{REPLACEMENT CHARACTER}"]
