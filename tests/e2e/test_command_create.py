"""create on the real servers, row by row of domain.md 2.2: the exact reply, and all that it did."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.e2e.answer import Answer, moved, unchanged
from tests.e2e.comes_to import Row, ask_in_each
from tests.e2e.scene import GRACE, LONG, Scene
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from tests.e2e.where import a_chat_in
from workspaced.bus.messages import ListRequest, Reply
from workspaced.fsm.snapshot import Snapshot, WorkspaceView
from workspaced.fsm.state import State

# --- situations that only create tells apart --------------------------------------------------------------------------


async def no_chat(stack: Stack) -> Scene:
    """It has no row."""
    return Scene(stack)


async def selection_error_connected(stack: Stack) -> Scene:
    """The first of the agents is there, however long ago it was made."""
    scene = await a_chat_in(stack, "selection_error", long_ago=True)
    await scene.connected()
    return scene


async def selection_error_lost(stack: Stack) -> Scene:
    """It was there a moment ago."""
    scene = await a_chat_in(stack, "selection_error")
    await scene.connected()
    await scene.lost()
    return scene


async def selection_error_long_lost(stack: Stack) -> Scene:
    """It was there once."""
    scene = await selection_error_connected(stack)
    await scene.lost()
    return scene


async def selection_error_overdue(stack: Stack) -> Scene:
    """It never came, and it is too late."""
    return await a_chat_in(stack, "selection_error", long_ago=True)


async def rebuild_failed(stack: Stack) -> Scene:
    """What was ready once was stopped, and does not start again."""
    scene = await a_chat_in(stack, "stopped")
    await scene.ask("start")
    await scene.job("failed", error="no such image")
    return scene


async def clean_up_failed(stack: Stack) -> Scene:
    """A canceled workspace could not be deleted."""
    scene = await a_chat_in(stack, "connecting")
    await scene.ask("cancel")
    await scene.job("failed", error="still mounted")
    return scene


async def shared_and_failed(stack: Stack) -> Scene:
    """Another chat is bound to what this one gives up."""
    scene = await a_chat_in(stack, "build_failed")
    one = await scene.look()
    assert one is not None
    assert one.workspace is not None
    await scene.ask("attach", chat_id=str(uuid4()), workspace_id=one.workspace.id)
    return scene


HERE: dict[str, Callable[[Stack], Awaitable[Scene]]] = {
    there.__name__: there
    for there in (
        no_chat,
        selection_error_connected,
        selection_error_lost,
        selection_error_long_lost,
        selection_error_overdue,
        rebuild_failed,
        clean_up_failed,
        shared_and_failed,
    )
}


async def create_in(stack: Stack, situations: Iterable[str]) -> list[Row]:
    """What a create comes to in each."""

    async def there(stack: Stack, name: str) -> Scene:
        return await (HERE[name](stack) if name in HERE else a_chat_in(stack, name))

    return await ask_in_each(stack, "create", situations, there)


# --- the rows ---------------------------------------------------------------------------------------------------------

IS_THERE = {
    "stopped": "stopped",
    "stopping": "conflict",
    "restarting": "conflict",
    "stopping_then_delete": "conflict",
    "deleting": "conflict",
    "creating": "attached",
    "building": "attached",
    "canceling": "attached",
    "binding": "attached",
    "connecting": "attached",
    "reconnecting": "attached",
    "starting": "attached",
    "ready": "exists",
    "selection_error": "exists",
    "selection_error_connected": "exists",
    "selection_error_lost": "exists",
    "startup_failed": "exists",
}


async def test_what_is_there(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat as it is, and the build in flight if there is one; nothing is written, built or said."""
    for situation, _, answer in await create_in(stack, IS_THERE):
        with subtests.test(situation):
            assert answer == unchanged(answer, IS_THERE[situation])


WAITS_AGAIN = {
    "not_taken": "creating",
    "build_timeout": "building",
    "never_connected": "connecting",
    "agent_disconnected": "connecting",
    "startup_timeout": "starting",
    "startup_timeout_lost": "connecting",
    "startup_failed_lost": "connecting",
}
WAITING_FOR = {"creating": "provisioner", "building": "build", "connecting": "agent", "starting": "startup_scripts"}


def due_by(answer: Answer) -> datetime:
    """When a chat that waits again gives up: an agent that was lost has what is left of its grace."""
    agent = answer.told.agent
    if agent is not None and agent.link == "disconnected":
        return agent.link_since + GRACE
    return answer.told.entered_at + LONG


async def test_it_waits_again(stack: Stack, subtests: pytest.Subtests) -> None:
    """A chat that gave up too early is back at what it waited for, with a deadline; nothing is built."""
    for situation, _, answer in await create_in(stack, WAITS_AGAIN):
        state = WAITS_AGAIN[situation]
        with subtests.test(situation):
            assert answer == moved(
                answer, "create", state=State(state), waiting_for=WAITING_FOR[state], deadline_at=due_by(answer)
            )


BEGINS_ANEW = {
    "no_chat": None,
    "no_workspace": None,
    "deleted": None,
    "stop_failed": "stop",
    "stop_canceled": "stop",
    "delete_failed": "stop",
    "failed_untaken": "delete",
    "build_failed": "delete",
    "quota": "delete",
    "canceled_untaken": "delete",
    "canceled": "delete",
    "ended_by_limit_then_built": "delete",
    "rebuild_failed": "stop",
    "no_agent": "delete",
    "agents_unknown": "delete",
    "selection_error_overdue": "delete",
    "selection_error_long_lost": "delete",
    "link_timeout": "delete",
    "long_disconnected": "stop",
    "startup_failed_long_lost": "delete",
    "clean_up_failed": None,
    "shared_and_failed": None,
}
"""The clean-up build of what is replaced."""


def a_new_workspace(scene: Scene, answer: Answer, version_id: str | None, clean_up: str | None) -> Answer:
    """What `answer` has to be; the new ids, the generated name and the moment are its own."""
    before, told = answer.before, answer.told
    assert told.workspace is not None
    assert told.build_id is not None
    assert told.cause is not None
    new = Snapshot(
        chat_id=scene.chat_id,
        version=before.version + 1 if before else 1,
        state=State.CREATING,
        entered_at=told.entered_at,
        deadline_at=told.entered_at + LONG,
        waiting_for="provisioner",
        workspace=WorkspaceView(
            id=told.workspace.id,
            name=told.workspace.name,
            owner_id=scene.owner.id,
            owner_name="ada",
            organization_id=ORGANIZATION,
            template_id=TEMPLATE,
            template_version_id=version_id,
            transition="start",
            build_number=1,
            job_status="pending",
            deleted=False,
            updated_to_active_version=False,
        ),
        build_id=told.build_id,
        agent_id=None,
        lifecycle=None,
        agent=None,
        failure=None,
        cause=replace(told.cause, event="create"),
    )
    old = before.workspace if before else None
    assert told.workspace.id != (old.id if old else None)
    cleaning = [(clean_up, (old.build_number or 0) + 1, old.id)] if clean_up and old else []
    return Answer(
        before=before,
        reply=Reply("accepted", new, told.build_id),
        now=new,
        pushed=new,
        moves=[(before.state if before else "idle", "creating", "create")],
        jobs=sorted([*cleaning, ("start", 1, told.workspace.id)]),
        changed=["builds", "chats", "workspaces"],
    )


async def test_it_begins_anew(stack: Stack, subtests: pytest.Subtests) -> None:
    """A new workspace; what it replaces is deleted if it never was ready, else stopped, and stays in sight."""
    version_id = None
    for situation, scene, answer in await create_in(stack, BEGINS_ANEW):
        version_id = version_id or (await stack.client.get_template(TEMPLATE)).active_version_id
        clean_up, before = BEGINS_ANEW[situation], answer.before
        listed = (await stack.client.list_workspaces(ListRequest(owner_id=scene.owner.id))).workspaces
        with subtests.test(situation):
            assert answer == a_new_workspace(scene, answer, version_id, clean_up)
            assert answer.told.workspace is not None
            assert answer.told.workspace.name.startswith("plain-")
            if clean_up:
                assert before is not None
                assert before.workspace is not None
                assert {(entry.id, entry.transition, entry.job_status, entry.chats) for entry in listed} == {
                    (before.workspace.id, clean_up, "pending", ()),
                    (answer.told.workspace.id, "start", "pending", (scene.chat_id,)),
                }


async def test_the_first_job(stack: Stack) -> None:
    """The whole of what a provisioner gets; the chat's row knows its parent."""
    await stack.engine()
    chat, parent = str(uuid4()), str(uuid4())
    reply = await stack.create(chat, name=" Dev ", parent_chat_id=parent)
    job = await stack.provisioner.job(reply.build_id)
    made = reply.snapshot.workspace if reply.snapshot else None
    assert made is not None

    assert job == {
        "id": f"{made.id}:{reply.build_id}",
        "at": job["at"],
        "job_id": job["job_id"],
        "agent_secret": job["agent_secret"],
        "build_id": reply.build_id,
        "build_number": 1,
        "transition": "start",
        "workspace": {"id": made.id, "name": "Dev", "ttl_ms": None},
        "owner": {"id": stack.owner.id, "name": "ada"},
        "organization_id": ORGANIZATION,
        "template": {"id": TEMPLATE, "name": "plain", "version_id": made.template_version_id, "source": None},
        "parameters": {},
        "preset_id": None,
        "prior_build_id": None,
    }
    rows = await stack.sql("select id::text, parent_chat_id::text, state, version from workspaced.chats")
    assert [tuple(row) for row in rows] == [(chat, parent, "creating", 1)]
