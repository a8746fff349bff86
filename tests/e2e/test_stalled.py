"""An engine that is stopped in the midst of a batch, and goes on when another one has done it."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest

from tests.e2e.doom import doomed
from tests.e2e.flow import KINDS, TTL, Flow
from tests.e2e.stack import Stack

MOMENTS = ("before_lock", "after_write", "after_commit", "between_effects", "before_ack")
"""At `after_load` it holds what it holds at `after_write`; at `after_ack` nothing is left to do."""


@pytest.fixture
def ack_wait() -> timedelta:
    """Short: what the stopped engine holds comes again after that."""
    return timedelta(seconds=1)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_stalled(stack: Stack, moment: str) -> None:
    """Another engine does it meanwhile; the one that was stopped goes on, and changes nothing any more."""
    flow = await Flow.about_to_happen(stack)
    async with doomed(stack, moment, "stall", len(KINDS)) as process:
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        await stack.engine(workspace_ttl=TTL)
        await stack.decided()

        process.send_signal(signal.SIGCONT)
        assert process.stdout
        while await process.stdout.readline() != b"done\n":
            pass

    await flow.check()
