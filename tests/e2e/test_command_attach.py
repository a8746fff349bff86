"""attach on the real servers, row by row of domain.md 2.5: the exact reply, and all that it did."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.e2e.answer import Answer, ask, in_flight, unchanged
from tests.e2e.comes_to import in_each, refused
from tests.e2e.scene import GRACE, LONG, Scene, unhurried_engine
from tests.e2e.stack import Stack
from tests.e2e.where import a_chat_in
from workspaced.bus.messages import Reply
from workspaced.fsm.commands import Owner
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

BY = ["workspace_id", "from_chat_id"]

WALKS = {
    "stopped": ["idle"],
    "stopping": ["idle"],
    "stop_failed": ["idle"],
    "deleting": ["idle"],
    "creating": ["creating"],
    "not_taken": ["creating"],
    "building": ["creating", "building"],
    "canceling": ["creating", "building"],
    "build_timeout": ["creating", "building"],
    "failed_untaken": ["creating", "failed"],
    "canceled_untaken": ["creating", "failed"],
    "build_failed": ["creating", "building", "failed"],
    "quota": ["creating", "building", "failed"],
    "canceled": ["creating", "building", "failed"],
    "binding": ["creating", "building", "binding"],
    "agents_unknown": ["creating", "building", "binding"],
    "no_agent": ["creating", "building", "binding", "failed"],
    "selection_error": ["creating", "building", "binding", "failed"],
    "connecting": ["creating", "building", "binding", "connecting"],
    "reconnecting": ["creating", "building", "binding", "connecting"],
    "long_disconnected": ["creating", "building", "binding", "connecting"],
    "starting": ["creating", "building", "binding", "connecting", "starting"],
    "startup_timeout": ["creating", "building", "binding", "connecting", "starting"],
    "startup_failed": ["creating", "building", "binding", "connecting", "starting", "failed"],
    "ready": ["creating", "building", "binding", "connecting", "starting", "ready"],
}
"""Every state on the way, from idle to where the workspace stands."""
WAITING_FOR = {
    "creating": "provisioner",
    "building": "build",
    "binding": "agents",
    "connecting": "agent",
    "starting": "startup_scripts",
}


def beside(scene: Scene) -> Scene:
    """Another chat of the same owner, without a row."""
    return Scene(scene.stack, owner=scene.owner)


async def to(scene: Scene, by: str) -> dict[str, str]:
    """How an attach names what this scene's chat is bound to."""
    there = await scene.look()
    assert there
    return {by: there.workspace.id if by == "workspace_id" and there.workspace else scene.chat_id}


def due_by(told: Snapshot) -> datetime | None:
    """When the chat gives up: for an agent that was lost the grace counts."""
    if told.state not in WAITING_FOR:
        return None
    lost = told.agent is not None and told.agent.link == "disconnected"
    return told.entered_at + (GRACE if lost else LONG)


def walked(answer: Answer, target: Snapshot, states: Iterable[str]) -> Answer:
    """What `answer` has to be: the chat stands where its new workspace does, and each state on the way was told."""
    before, told = answer.before, answer.told
    assert told.cause
    path = [before.state if before else "idle", *states]
    after = replace(
        target,
        chat_id=told.chat_id,
        version=(before.version if before else 0) + len(path) - 1,
        state=State(path[-1]),
        entered_at=told.entered_at,
        deadline_at=due_by(told),
        waiting_for=target.waiting_for if path[-1] == "idle" else WAITING_FOR.get(path[-1]),
        failure=target.failure if path[-1] == "failed" else None,
        cause=replace(told.cause, event="attach"),
    )
    return Answer(
        before=before,
        reply=Reply("accepted", after, in_flight(target)),
        now=after,
        pushed=after,
        moves=[(before, after, "attach") for before, after in pairwise(path)],
        jobs=[],
        changed=["chats"],
    )


@pytest.mark.parametrize("by", BY)
async def test_it_walks_to_where_the_workspace_stands(stack: Stack, subtests: pytest.Subtests, by: str) -> None:
    """The chat has the triple; the other chat and the workspace are as they were; a child knows its parent."""
    scenes = await in_each(stack, WALKS)

    async def attach(scene: Scene) -> tuple[Snapshot | None, Answer, Snapshot | None]:
        target = await scene.look()
        return target, await ask(beside(scene), "attach", **await to(scene, by)), await scene.look()

    found = await asyncio.gather(*(attach(scene) for scene in scenes.values()))
    rows = await stack.sql("select id::text, parent_chat_id::text from workspaced.chats")
    parents = {row["id"]: row["parent_chat_id"] for row in rows}
    for (situation, scene), (target, answer, then) in zip(scenes.items(), found, strict=True):
        with subtests.test(situation):
            assert target
            assert answer == walked(answer, replace(target, typical=None), WALKS[situation])
            assert then == target
            assert parents[answer.told.chat_id] == (scene.chat_id if by == "from_chat_id" else None)


async def test_a_child_of_a_chat_without_workspace(stack: Stack, subtests: pytest.Subtests) -> None:
    """It is idle, and gets a row all the same."""
    for situation, parent in (await in_each(stack, ["no_workspace", "deleted"])).items():
        answer = await ask(beside(parent), "attach", from_chat_id=parent.chat_id)
        told = answer.told
        with subtests.test(situation):
            assert (answer.reply.outcome, answer.reply.build_id) == ("accepted", None)
            assert (answer.moves, answer.changed, answer.jobs) == ([("idle", "idle", "attach")], ["chats"], [])
            assert (told.version, told.state, told.workspace, told.build_id) == (1, "idle", None, None)
            assert answer.now == answer.pushed == told


async def test_a_child_is_its_parents(stack: Stack) -> None:
    """Owner and organization are copied, whatever the request says."""
    await unhurried_engine(stack)
    parent = await a_chat_in(stack, "ready")
    child = str(uuid4())
    fields = {"owner": Owner(str(uuid4()), "eve"), "organization_id": str(uuid4())}

    await parent.ask("attach", chat_id=child, from_chat_id=parent.chat_id, **fields)

    rows = await stack.sql(
        "select owner_id, owner_name, organization_id, workspace_id, build_id, agent_id from workspaced.chats"
    )
    assert len(rows) == 2
    assert rows[0] == rows[1]


NOT_FOUND = "Workspace not found or you do not have access to this resource"


async def test_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    """With the field; the chat gets no row by it, and nobody learns of what is not his."""
    await unhurried_engine(stack)
    scene, deleted = await a_chat_in(stack, "ready"), await a_chat_in(stack, "deleted")
    here, gone = (await to(scene, "workspace_id"))["workspace_id"], (await to(deleted, "workspace_id"))["workspace_id"]
    not_found = (400, "workspace_not_found", "workspace_id", NOT_FOUND, True)
    either = (400, "bad_request", "workspace_id", "name either workspace_id or from_chat_id", True)
    no_parent = (404, "parent_not_found", "from_chat_id", "parent chat is not known", True)
    eve = Owner(str(uuid4()), "eve")
    rows: dict[str, tuple[dict[str, Any], tuple[object, ...]]] = {
        "unknown parent": ({"from_chat_id": str(uuid4())}, no_parent),
        "a stranger's parent": ({"from_chat_id": scene.chat_id, "owner": eve, "actor_id": eve.id}, no_parent),
        "unknown workspace": ({"workspace_id": str(uuid4())}, not_found),
        "deleted": ({"workspace_id": gone, "owner": deleted.owner}, not_found),
        "a stranger": ({"workspace_id": here, "owner": eve}, not_found),
        "another organization": (
            {"workspace_id": here, "organization_id": str(uuid4())},
            (
                400,
                "wrong_organization",
                "workspace_id",
                "Workspace does not belong to the specified organization.",
                True,
            ),
        ),
        "neither": ({}, either),
        "both": ({"workspace_id": here, "from_chat_id": scene.chat_id}, either),
    }
    for name, (fields, expected) in rows.items():
        other = beside(scene)
        found = await refused(other, "attach", **fields)
        with subtests.test(name):
            assert found == expected
            assert await other.look() is None


async def test_somebody_elses_chat(stack: Stack) -> None:
    """A chat with a row is its owner's."""
    scene = (await in_each(stack, ["ready"]))["ready"]
    eve = Owner(str(uuid4()), "eve")

    assert await refused(scene, "attach", **await to(scene, "workspace_id"), owner=eve) == (
        403,
        "not_owner",
        None,
        "only the chat's owner may do this",
        True,
    )


@pytest.mark.parametrize("by", BY)
async def test_it_has_that_workspace_already(stack: Stack, subtests: pytest.Subtests, by: str) -> None:
    """Nothing is done, also not to a chat that waits on it."""
    for situation, scene in (await in_each(stack, ["ready", "building", "stopped", "build_failed"])).items():
        other = beside(scene)
        target = await to(scene, by)
        await other.ask("attach", **target)
        answer = await ask(other, "attach", **target)
        with subtests.test(situation):
            assert answer == unchanged(answer, "exists")._replace(reply=Reply("exists", answer.before))


async def two(stack: Stack, own: str) -> list[Scene]:
    """Two chats of one owner, each with a workspace; the first stands in `own`, the second is ready."""
    owner = Owner(str(uuid4()), "ada")
    return await asyncio.gather(*(a_chat_in(stack, situation, owner=owner) for situation in (own, "ready")))


WAITS = ["creating", "building", "canceling", "binding", "connecting", "reconnecting", "starting"]


@pytest.mark.parametrize("by", BY)
async def test_it_waits_on_another_workspace(stack: Stack, subtests: pytest.Subtests, by: str) -> None:
    """Its own wait goes on."""
    await unhurried_engine(stack)

    async def attach(own: str) -> Answer:
        mine, theirs = await two(stack, own)
        return await ask(mine, "attach", **await to(theirs, by))

    for own, answer in zip(WAITS, await asyncio.gather(*(attach(own) for own in WAITS)), strict=True):
        before = answer.before
        with subtests.test(own):
            assert before
            assert answer == unchanged(answer, "conflict")._replace(reply=Reply("conflict", before, before.build_id))


RESTS = ["ready", "stopping", "stopped", "deleted", "no_workspace", "build_failed", "not_taken", "startup_timeout"]


@pytest.mark.parametrize("by", BY)
async def test_it_moves_from_where_it_rests(stack: Stack, subtests: pytest.Subtests, by: str) -> None:
    """Its former workspace is not touched: no row of it changes, and nothing is built."""
    await unhurried_engine(stack)

    async def attach(own: str) -> tuple[Answer, Snapshot | None]:
        mine, theirs = await two(stack, own)
        return await ask(mine, "attach", **await to(theirs, by)), await theirs.look()

    for own, (answer, target) in zip(RESTS, await asyncio.gather(*(attach(own) for own in RESTS)), strict=True):
        with subtests.test(own):
            assert target
            assert answer == walked(answer, replace(target, typical=None), WALKS["ready"])
