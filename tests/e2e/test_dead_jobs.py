"""Jobs that nobody takes and jobs that never end: ended by a timer of the engine, whatever the build is for."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.flow import everything_is_said
from tests.e2e.pushes import Push
from tests.e2e.stack import Stack
from workspaced.app.audit import audit
from workspaced.bus.messages import Reply

SHORT = timedelta(milliseconds=500)
STATES = {"start": "failed", "stop": "idle", "delete": "idle"}
"""Where the chat stands in the end; stop and delete builds leave it where it is."""

LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "pending": ({"job_pending_limit": SHORT}, "Build has been detected as pending for 1 minutes"),
    "running": ({"job_running_limit": SHORT}, "Build has been detected as hung for 1 minutes"),
}
"""By the job's status its limit, and what is said then; minutes are rounded up (wire.md section 5)."""


async def ask(stack: Stack, transition: str, chat: str) -> Reply:
    """For a build of that kind."""
    match transition:
        case "start":
            return await stack.create(chat)
        case "stop":
            return await stack.client.stop(chat)
        case _:
            return await stack.client.delete(chat)


def is_over(push: Push) -> bool:
    """Its job was ended."""
    return bool(push["snapshot"]["workspace"]["job_status"] == "failed")


@pytest.mark.parametrize("status", LIMITS)
@pytest.mark.parametrize("transition", STATES)
async def test_a_dead_job(stack: Stack, transition: str, status: str) -> None:
    """The timer goes off by itself; who works on the job is told to stop."""
    settings, text = LIMITS[status]
    chat = str(uuid4())
    if transition != "start":
        former = await stack.engine()
        await stack.ready(chat)
        await stack.decided()
        await stack.stop(former)
    await stack.engine(**settings)
    job = await stack.provisioner.job((await ask(stack, transition, chat)).build_id)
    if status == "running":
        await stack.provisioner.tell(job, "running")

    push = await stack.pushes.until(chat, is_over)
    if status == "running":
        assert (await stack.provisioner.canceled(job))["reason"] == "limit"
    await stack.decided()

    workspace = push["snapshot"]["workspace"]
    assert (push["cause"]["event"], push["to"]) == ("limit", STATES[transition])
    assert (workspace["transition"], workspace["job_error"]) == (transition, text)
    await everything_is_said(stack)
    assert await audit(stack.dsn, stack.admin, taken_jobs=stack.provisioner.seen) == []
