"""What was decided first may be said last: by an engine, or half of one, that was held up after its commit."""

from datetime import timedelta
from uuid import uuid4

from tests.e2e.gate import Gate
from tests.e2e.provisioner import an_agent
from tests.e2e.stack import Stack


async def test_a_late_timer_takes_no_newer_one_along(stack: Stack) -> None:
    """A deadline that an older one has pushed out of its slot is armed anew when the older one goes off."""
    gate = Gate("after_commit")
    await stack.engine(
        gate.moments, building_deadline=timedelta(seconds=1), connecting_deadline=timedelta(milliseconds=500)
    )
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    await stack.decided()

    gate.close()
    await stack.provisioner.tell(job, "running")
    await gate.reached.wait()
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(str(uuid4()))])
    await stack.pushes.until(chat, "connecting")
    gate.open()
    failed = await stack.pushes.until(chat, "failed")

    assert failed["snapshot"]["failure"]["code"] == "agent_not_connected"
    assert sorted(stack.pushes.versions(chat)) == [1, 2, 3, 4, 5]


async def test_a_late_job_limit(stack: Stack) -> None:
    """The same for the limit of a running job."""
    gate = Gate("after_commit")
    await stack.engine(
        gate.moments, job_pending_limit=timedelta(seconds=1), job_running_limit=timedelta(milliseconds=500)
    )
    chat = str(uuid4())

    gate.close()
    await stack.put_command("create", stack.a_create(chat))
    await gate.reached.wait()
    (build,) = await stack.sql("select * from workspaced.builds")
    job = {
        "build_id": str(build["id"]),
        "build_number": 1,
        "job_id": str(build["job_id"]),
        "workspace": {"id": str(build["workspace_id"])},
    }
    await stack.provisioner.tell(job, "running")
    await stack.pushes.until(chat, "building")
    gate.open()
    failed = await stack.pushes.until(chat, "failed")

    assert failed["cause"]["event"] == "limit"
    assert failed["snapshot"]["failure"]["message"].startswith("Build has been detected as hung")
