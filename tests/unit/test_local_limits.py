"""Limits on agents."""

import asyncio
import resource
import sys

import pytest

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
