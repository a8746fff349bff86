"""An engine process that is to end in mid-flow, seen from the test: `doomed.py` is what runs in it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.e2e.flow import TTL
from tests.e2e.stack import LIMIT, Stack

PROGRAM = Path(__file__).parent / "doomed.py"


@asynccontextmanager
async def doomed(
    stack: Stack,
    moment: str = "",
    end: str = "die",
    number: int = 1,
    **settings: Any,  # noqa: ANN401  # as Settings has them
) -> AsyncIterator[asyncio.subprocess.Process]:
    """An engine process that dies by SIGKILL: its own, or ours at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        PROGRAM,
        moment,
        end,
        str(number),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(msgspec.json.encode(stack.config(workspace_ttl=TTL, **settings)))
    process.stdin.close()
    try:
        async with asyncio.timeout(LIMIT):
            if not moment:  # else it may be dead before it says so
                assert await process.stdout.readline() == b"serving\n"
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        assert await process.wait() == -signal.SIGKILL
