"""Reports that carry the tag of who says them, which NATS checks by permission (issue 6)."""

import json
from uuid import uuid4

from tests.e2e.stack import Stack


async def test_a_provisioner_speaks_for_its_own_tag(stack: Stack) -> None:
    """A report in another tag's name goes to DEAD, one in the build's own counts."""
    await stack.engine()
    chat_id = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
    ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    subject = f"ws.event.{job['workspace']['id']}.job"
    for status, tag in (("failed", "gpu"), ("running", "local")):
        await stack.admin.jetstream().publish(f"{subject}.{status}.{tag}", json.dumps(ids).encode())

    push = await stack.pushes.until(chat_id, "building")
    await stack.decided()
    (dead,) = await stack.stored("DEAD")

    assert push["cause"]["event"] == "job.running"
    assert (dead.subject, dead.headers["Ws-Dead-Reason"]) == (f"ws.dead.{subject}.failed.gpu", "mismatch")
