"""delete on the real servers, row by row of domain.md 2.4, and what comes of it."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.e2e.answer import Answer, ask, moved, unchanged
from tests.e2e.comes_to import DELETED, NO_WORKSPACE, ask_in_each, begun, in_each, refused, told_to_stop
from tests.e2e.scene import Scene, unhurried_engine
from tests.e2e.stack import ORGANIZATION, Stack
from tests.e2e.where import TO_BE_STOPPED, a_chat_in


async def test_on_its_way_already(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat as it is and the build in flight; nothing is written, built or said."""
    for situation, _, answer in await ask_in_each(stack, "delete", ["deleting", "stopping_then_delete"]):
        with subtests.test(situation):
            assert answer == unchanged(answer, "attached")


DELETES = ["creating", "not_taken", "stopped", *TO_BE_STOPPED]


async def test_it_deletes(stack: Stack, subtests: pytest.Subtests) -> None:
    """A delete build, also at once where nobody had taken the start; the chat is idle and waits for nothing else."""
    for situation, _, answer in await ask_in_each(stack, "delete", DELETES):
        with subtests.test(situation):
            assert answer == begun(answer, "delete", "delete")


def noted(answer: Answer, **workspace: Any) -> Answer:  # noqa: ANN401  # any field
    """What `answer` has to be where the delete follows the build in flight; the chat waits on as it did."""
    before = answer.before
    assert before is not None
    assert before.workspace is not None
    view = replace(before.workspace, next="delete", **workspace)
    kept = moved(answer, "delete", entered_at=before.entered_at, failure=before.failure, workspace=view)
    tables = ["builds", "chats", "workspaces"] if workspace else ["chats", "workspaces"]
    return kept._replace(reply=replace(kept.reply, outcome="accepted"), changed=tables)


async def test_after_a_start_that_runs(stack: Stack, subtests: pytest.Subtests) -> None:
    """Its job is canceled, and the delete is noted; the chat waits for that end, or stays failed."""
    for situation, scene, answer in await ask_in_each(stack, "delete", ["building", "build_timeout"]):
        with subtests.test(situation):
            assert answer == noted(answer, job_status="canceling")
            assert await told_to_stop(scene, await scene.job_of(answer.told.build_id)) == "canceled"


async def test_after_a_start_that_is_canceled(stack: Stack) -> None:
    """Its provisioner knows already."""
    [(_, scene, answer)] = await ask_in_each(stack, "delete", ["canceling"])
    job = await scene.job_of(answer.told.build_id)
    await told_to_stop(scene, job)

    assert answer == noted(answer)
    assert [cancel["job_id"] for cancel in stack.provisioner.cancels] == [job["job_id"]]


async def test_after_a_stop(stack: Stack, subtests: pytest.Subtests) -> None:
    """Which goes on; a start that was to follow it does not."""
    for situation, _, answer in await ask_in_each(stack, "delete", ["stopping", "restarting"]):
        with subtests.test(situation):
            assert answer == noted(answer)
    assert stack.provisioner.cancels == []


async def test_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    """409 where there is nothing to delete."""
    scenes = await in_each(stack, ["no_workspace", "deleted"])
    for situation, expected in {"no_workspace": NO_WORKSPACE, "deleted": DELETED}.items():
        with subtests.test(situation):
            assert await refused(scenes[situation], "delete") == expected
    with subtests.test("no chat"):
        assert await refused(Scene(stack), "delete") == NO_WORKSPACE


# --- what comes of it -------------------------------------------------------------------------------------------------


async def test_it_follows_however_the_build_ends(stack: Stack, subtests: pytest.Subtests) -> None:
    """In one transition, without a failure or a binding in between."""
    await unhurried_engine(stack)
    rows = [
        (situation, status)
        for situation in ("building", "build_timeout", "stopping", "restarting")
        for status in ("succeeded", "failed", "canceled")
    ]

    async def follow(situation: str, status: str) -> tuple[Any, ...]:
        scene = await a_chat_in(stack, situation)
        asked = await ask(scene, "delete")
        await scene.job(status, error="killed" if status == "failed" else "")
        after = await scene.look()
        assert after
        job = await scene.job_of(after.build_id)
        made = (await stack.client.history(scene.chat_id, after_version=asked.told.version)).transitions
        moves = [(move.from_state, move.to_state, move.cause.event) for move in made]
        return asked.told, after, job, moves

    for (situation, status), found in zip(rows, await asyncio.gather(*(follow(*row) for row in rows)), strict=True):
        before, after, job, moves = found
        last = (before.state, "idle", f"job.{status}")
        with subtests.test(f"{situation} {status}"):
            assert moves == [last]
            assert (job["transition"], job["build_number"]) == ("delete", before.workspace.build_number + 1)
            assert after == replace(
                before,
                version=before.version + 1,
                state=after.state,
                entered_at=after.entered_at,
                deadline_at=None,
                waiting_for="delete",
                workspace=replace(
                    before.workspace,
                    transition="delete",
                    build_number=job["build_number"],
                    job_status="pending",
                    job_error=None,
                    next=None,
                ),
                build_id=job["build_id"],
                failure=None,
                cause=after.cause,
            )


async def test_a_delete_that_succeeds(stack: Stack) -> None:
    """Every chat of the workspace is free; the snapshot shows it as deleted until the next create or attach."""
    await unhurried_engine(stack)
    scene = await a_chat_in(stack, "ready")
    other = str(uuid4())
    await scene.ask("attach", chat_id=other, from_chat_id=scene.chat_id)
    deleting = (await ask(scene, "delete")).told
    await scene.job("succeeded")
    after, theirs = await scene.look(), await stack.client.get(other)
    rows = await stack.sql("select workspace_id is not null, build_id, agent_id from workspaced.chats")
    again = (await ask(scene, "create")).told
    assert deleting.workspace
    assert after
    assert again.workspace

    gone = replace(
        deleting,
        version=deleting.version + 1,
        waiting_for=None,
        workspace=replace(deleting.workspace, job_status="succeeded", deleted=True),
        build_id=None,
        cause=after.cause,
    )
    assert after == gone
    assert after.cause
    assert after.cause.event == "job.succeeded"
    assert theirs == replace(gone, chat_id=other, version=theirs.version, typical=theirs.typical)
    assert [tuple(row) for row in rows] == [(True, None, None)] * 2
    assert (again.state, again.workspace.deleted) == ("creating", False)
    assert again.workspace.id != deleting.workspace.id


async def test_a_delete_that_fails(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat stays idle and tells so; the workspace is there, and may be deleted again."""
    await unhurried_engine(stack)
    for status, error in {"failed": "still mounted", "canceled": ""}.items():
        scene = await a_chat_in(stack, "deleting")
        before = await scene.look()
        await scene.job(status, error=error)
        after = await scene.look()
        again = await ask(scene, "delete")
        assert before
        assert before.workspace
        assert after
        with subtests.test(status):
            assert after == replace(
                before,
                version=before.version + 1,
                waiting_for=None,
                workspace=replace(before.workspace, job_status=status, job_error=error or None),
                cause=after.cause,
            )
            assert again == begun(again, "delete", "delete")


@pytest.mark.parametrize("verb", ["cancel", "delete"])
async def test_a_job_that_nobody_took_leaves_its_queue(stack: Stack, verb: str) -> None:
    """So that no provisioner begins what is over."""
    await unhurried_engine(stack)
    template = {"organization_id": ORGANIZATION, "name": "big", "provisioner": "gpu-1"}
    stored = (await stack.client.put_template(template)).template
    scene = Scene(stack)
    await scene.ask("create", template_id=stored.id)
    queued = await stack.stored("JOBS")

    await scene.ask(verb)
    await stack.decided()

    left = [kept.json()["transition"] for kept in await stack.stored("JOBS")]
    assert [kept.json()["transition"] for kept in queued] == ["start"]
    assert left == (["delete"] if verb == "delete" else [])
