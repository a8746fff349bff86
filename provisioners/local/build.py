"""What happens before the agents start: the wait for demonstrations, and the template's build script."""

import asyncio
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Final

from workspaced.bus.job_in_hand import JobCanceled, JobFailed, JobInHand
from workspaced.provisioners import processes
from workspaced.provisioners.local.agents import inherited
from workspaced.provisioners.scripts import Lines, Script

JOB_VARIABLE: Final = "WORKSPACED_JOB_ID"

GENTLE: Final = 10.0
OUTPUT_LIMIT: Final = 1.0
"""Seconds a canceled build script gets between SIGTERM and SIGKILL, and for the last output of one that has ended:
what it left running may hold it open."""


async def wait_unless_canceled(hand: JobInHand, delay: timedelta) -> None:
    """Wait; raises JobCanceled at once when the job is canceled."""
    try:
        async with asyncio.timeout(delay.total_seconds()):
            await hand.canceled.wait()
    except TimeoutError:
        return
    raise JobCanceled


async def run_build_script(
    script: Path, folder: Path, environment: dict[str, str], job_id: str, hand: JobInHand
) -> None:
    """Run it with its output in the build's log. Raises JobFailed with the last line, or JobCanceled."""
    last: deque[str] = deque(maxlen=1)

    def on_line(line: str) -> None:
        hand.log("build", "info", line)
        if line.strip():
            last.append(line.strip())

    lines = Lines(on_line)
    running = await Script.start(script, folder, inherited() | environment | {JOB_VARIABLE: job_id}, lines.feed)
    ending = asyncio.create_task(running.wait())
    canceled = asyncio.create_task(hand.canceled.wait())
    try:
        await asyncio.wait([ending, canceled], return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await end_build(job_id)
            raise JobCanceled
        await running.output_ended(OUTPUT_LIMIT)
    finally:
        canceled.cancel()
        if not ending.done():  # the lease is lost, or the provisioner stops
            await end_build(job_id)
        code = await ending
        running.close()
        lines.end()
    if code:
        reason = f": {last[0]}" if last else ""
        raise JobFailed(f"the build script ended with exit code {code}{reason}")


async def end_build(job_id: str) -> None:
    """End whatever the job's build script started and is still there."""
    await processes.end_all(lambda: processes.carrying(JOB_VARIABLE, job_id), GENTLE)
