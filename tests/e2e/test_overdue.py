"""What became due while no engine ran, and whose wake-up was lost, is found by the next engine."""

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.e2e.stack import Stack


@pytest.mark.parametrize("taken", [False, True], ids=["pending", "running"])
async def test_the_limit_of_a_job(stack: Stack, taken: bool) -> None:
    """A job that nobody took is measured from its request, one that was taken from then."""
    first = await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    if taken:
        await stack.provisioner.tell(job, "running")
        await stack.pushes.until(chat, "building")
    await stack.stop(first)
    await stack.admin.jetstream().purge_stream("TIMERS")

    over, in_time = timedelta(milliseconds=1), timedelta(hours=1)
    await stack.engine(job_pending_limit=in_time if taken else over, job_running_limit=over if taken else in_time)
    await stack.pushes.until(chat, "failed")

    (kept,) = await stack.sql("select limited from workspaced.builds where id = $1", job["build_id"])
    assert kept["limited"]
