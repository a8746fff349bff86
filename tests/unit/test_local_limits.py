"""Limits on agents, and what others' texts may do to a terminal."""

import asyncio
import resource
import sys

import pytest

from workspaced.app.render import harmless
from workspaced.provisioners import processes
from workspaced.provisioners.local.limits import limit, parse_limits


def test_limits_as_text() -> None:
    """By the names of setrlimit; none is fine."""
    assert parse_limits(" nofile=1024, nproc=200,") == {"nofile": 1024, "nproc": 200}
    assert parse_limits("") == {}


@pytest.mark.parametrize("text", ["nofile", "files=3", "nofile=-1", "nofile=many", "nofile=1e3"])
def test_what_is_no_limit(text: str) -> None:
    """Named, before anything starts."""
    with pytest.raises(ValueError, match=r"is no limit|a whole number"):
        parse_limits(text)


async def test_a_process_is_limited_for_good() -> None:
    """Soft and hard, and never more than it had."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    process = processes.identify(child.pid)
    assert process is not None
    limit(process, {"nofile": 100, "core": 2**62})
    files, core = (resource.prlimit(child.pid, kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE))
    await child.communicate(b"\n")

    assert files == (100, 100)
    assert core[1] <= 2**62 or core[1] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext ä", "plain\ttext ä"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("\x1b[2Jgone\r\n", "\ufffd[2Jgone\ufffd\ufffd"),
        ("\x9b2J", "\ufffd2J"),
    ],
)
def test_a_log_does_nothing_to_a_terminal(text: str, shown: str) -> None:
    """Whoever reads a build's log sees what is in it."""
    assert harmless(text) == shown
