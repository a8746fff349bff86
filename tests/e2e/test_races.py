"""Commands and reports that race each other: whichever comes first, the end is one of the documented ones."""

import asyncio
from uuid import uuid4

import pytest

from tests.e2e.provisioner import an_agent
from tests.e2e.stack import LIMIT, Stack


async def one_workspace(stack: Stack) -> str:
    """The id of the only live workspace that there is."""
    (entry,) = (await stack.client.list_workspaces()).workspaces
    return entry.id


async def test_two_daemons_create_at_once(stack: Stack) -> None:
    """One makes the workspace, the other is told that it is on its way; there is one."""
    await stack.engine()
    await stack.engine()
    other, chat = await stack.a_client(), str(uuid4())

    replies = await asyncio.gather(stack.create(chat), stack.create(chat, client=other))
    await other.close()

    assert sorted(reply.outcome for reply in replies) == ["accepted", "attached"]
    assert len({reply.build_id for reply in replies}) == 1
    assert {reply.snapshot.workspace.id for reply in replies if reply.snapshot and reply.snapshot.workspace} == {
        await one_workspace(stack)
    }


async def test_create_while_it_stops(stack: Stack) -> None:
    """The create is answered `conflict` with the stop's build, and changes nothing."""
    await stack.engine()
    chat = str(uuid4())
    await stack.ready(chat)
    stopping = await stack.client.stop(chat)

    asked = await stack.create(chat)
    await stack.provisioner.build(await stack.provisioner.job(stopping.build_id))
    await stack.decided()
    again = await stack.create(chat)

    assert (asked.outcome, asked.build_id) == ("conflict", stopping.build_id)
    assert again.outcome == "stopped"


async def test_stop_while_it_builds(stack: Stack) -> None:
    """The stop is answered `conflict` with the start's build, which goes on to ready."""
    await stack.engine()
    chat = str(uuid4())
    created = await stack.create(chat)
    job = await stack.provisioner.job(created.build_id)
    await stack.provisioner.tell(job, "running")
    await stack.pushes.until(chat, "building")

    asked = await stack.client.stop(chat)
    await stack.provisioner.bring_up(job)
    await stack.pushes.until(chat, "ready")

    assert (asked.outcome, asked.build_id) == ("conflict", created.build_id)


@pytest.mark.parametrize("first", ["cancel", "success", "both at once"])
async def test_cancel_against_success(stack: Stack, first: str) -> None:
    """A cancel that comes first wins and what was built is cleaned up; one that comes late cleans up as well."""
    await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    await stack.provisioner.tell(job, "running")
    await stack.pushes.until(chat, "building")
    agent = await stack.provisioner.agent(job)

    async def succeed() -> None:
        await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])

    async def cancel() -> None:
        assert (await stack.client.cancel(chat)).outcome == "accepted"

    if first == "cancel":
        await cancel()
        await succeed()
    elif first == "success":
        await succeed()
        await stack.pushes.until(chat, "connecting")
        await cancel()
    else:
        await asyncio.gather(cancel(), succeed())
    cleaning = await stack.provisioner.job()
    await stack.provisioner.build(cleaning)
    async with asyncio.timeout(LIMIT):
        await stack.client.wait_until(chat, lambda now: now.workspace is not None and now.workspace.deleted)

    assert cleaning["transition"] == "delete"
    assert (await stack.client.list_workspaces()).workspaces == ()


async def test_attach_against_delete(stack: Stack) -> None:
    """Whichever comes first: the other chat is refused, or it is bound and follows the workspace to its end."""
    await stack.engine()
    await stack.engine()
    first, second = str(uuid4()), str(uuid4())
    await stack.ready(first)
    workspace = await one_workspace(stack)

    deleted, attached = await asyncio.gather(
        stack.client.delete(first), stack.attach(second, workspace_id=workspace), return_exceptions=True
    )
    assert not isinstance(deleted, BaseException)
    await stack.provisioner.build(await stack.provisioner.job(deleted.build_id))
    await stack.decided()

    assert deleted.outcome == "accepted"
    assert not isinstance(attached, BaseException)
    assert attached.outcome == "accepted"
    for chat in (first, second):
        now = await stack.client.get(chat)
        assert (now.state, now.agent_id, now.workspace and now.workspace.deleted) == ("idle", None, True)


async def test_restart_outlives_its_caller(stack: Stack) -> None:
    """A daemon that asks for a restart and dies has it done all the same: the start follows the stop by itself."""
    await stack.engine()
    chat = str(uuid4())
    await stack.ready(chat)
    doomed = await stack.a_client()

    restarted = await doomed.restart(chat)
    await doomed.close()
    await stack.provisioner.build(await stack.provisioner.job(restarted.build_id))
    starting = await stack.provisioner.job()
    await stack.provisioner.bring_up(starting)
    ready = await stack.pushes.until(chat, "ready", after=8)

    assert (starting["transition"], starting["build_number"]) == ("start", 3)
    assert ready["snapshot"]["build_id"] == starting["build_id"]
