"""Several chats on one workspace, and chats that come late."""

from datetime import timedelta
from uuid import uuid4

from tests.e2e.provisioner import an_agent
from tests.e2e.stack import Stack


async def test_attach_while_it_builds(stack: Stack) -> None:
    """A chat that attaches in mid-flow goes the rest of the way with the other, and both are ready."""
    await stack.engine()
    first, second = str(uuid4()), str(uuid4())
    created = await stack.create(first)
    job = await stack.provisioner.job(created.build_id)
    await stack.provisioner.tell(job, "running")
    await stack.pushes.until(first, "building")

    attached = await stack.attach(second, workspace_id=job["workspace"]["id"])
    agent = await stack.provisioner.agent(job)
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    mine, theirs = await stack.pushes.until(first, "ready"), await stack.pushes.until(second, "ready")

    assert attached.outcome == "accepted"
    assert attached.snapshot
    assert attached.snapshot.state == "building"
    assert mine["snapshot"]["agent_id"] == theirs["snapshot"]["agent_id"] == agent.id
    versions = stack.pushes.versions(second)
    assert versions == list(range(1, len(versions) + 1))


async def test_a_child_of_a_ready_chat(stack: Stack) -> None:
    """A child takes its parent's triple at once; without a parent there is nothing to take."""
    await stack.engine()
    parent, child = str(uuid4()), str(uuid4())
    await stack.ready(parent)

    attached = await stack.attach(child, from_chat_id=parent)

    held, copied = await stack.client.get(parent), attached.snapshot
    assert copied
    assert (copied.state, copied.build_id, copied.agent_id) == ("ready", held.build_id, held.agent_id)


async def test_attach_to_a_stopped_workspace(stack: Stack) -> None:
    """It is bound and rests; it is started when somebody asks for it."""
    await stack.engine()
    first, second = str(uuid4()), str(uuid4())
    job_id = (await stack.ready(first)).build_id
    stopping = await stack.client.stop(first)
    await stack.provisioner.build(await stack.provisioner.job(stopping.build_id))
    await stack.decided()
    workspace = (await stack.client.get(first)).workspace
    assert workspace

    attached = await stack.attach(second, workspace_id=workspace.id)
    started = await stack.client.start(second)
    await stack.provisioner.bring_up(await stack.provisioner.job(started.build_id))
    await stack.pushes.until(second, "ready")
    back = await stack.pushes.until(first, "ready", after=8)

    assert attached.snapshot
    assert (attached.snapshot.state, attached.snapshot.waiting_for) == ("idle", None)
    assert job_id != started.build_id
    assert back["snapshot"]["build_id"] == started.build_id


async def test_a_late_success_heals(stack: Stack) -> None:
    """A chat that gave up waiting for its build is ready after all when the build succeeds."""
    await stack.engine(creating_deadline=timedelta(milliseconds=100))
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    failed = await stack.pushes.until(chat, "failed")

    await stack.provisioner.bring_up(job)
    await stack.pushes.until(chat, "ready")

    assert failed["cause"]["event"] == "deadline"
    assert failed["snapshot"]["failure"]["code"] == "job_not_taken"
    assert stack.pushes.path(chat)[2][:2] in {("failed", "building"), ("failed", "binding")}


async def test_a_late_agent_heals(stack: Stack) -> None:
    """An agent that connects after its deadline is as good as one in time."""
    await stack.engine(connecting_deadline=timedelta(milliseconds=100))
    chat = str(uuid4())
    agent = await stack.provisioner.build(await stack.provisioner.job((await stack.create(chat)).build_id))
    failed = await stack.pushes.until(chat, "failed")

    await agent.get_ready()
    await stack.pushes.until(chat, "ready")

    assert failed["snapshot"]["failure"]["code"] == "agent_not_connected"


async def test_a_blink_of_the_agent(stack: Stack) -> None:
    """The server tells that the connection is gone; within the grace the next one makes the chat ready again."""
    await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    agent = await stack.provisioner.agent(job, own=True)
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    ready = await stack.pushes.until(chat, "ready")

    await agent.connection.close()
    lost = await stack.pushes.until(chat, "connecting", after=ready["version"])
    back = await stack.provisioner.agent(job)
    back.id = agent.id
    await back.get_ready()
    await stack.pushes.until(chat, "ready", after=lost["version"])

    assert lost["cause"]["event"] == "sys.disconnect"


async def test_an_agent_that_stays_away(stack: Stack) -> None:
    """After the grace the chat fails with the reason, and only then does create make another workspace."""
    await stack.engine(agent_inactive_grace=timedelta(milliseconds=200))
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    agent = await stack.provisioner.agent(job, own=True)
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    await stack.pushes.until(chat, "ready")

    await agent.connection.close()
    failed = await stack.pushes.until(chat, "failed")
    again = await stack.create(chat)

    assert failed["snapshot"]["failure"]["code"] == "agent_disconnected"
    assert again.snapshot
    assert again.snapshot.workspace
    assert again.snapshot.workspace.id != job["workspace"]["id"]
