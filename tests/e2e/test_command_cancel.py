"""cancel on the real servers, row by row of domain.md 2.4, and what comes after it."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.e2e.answer import moved, unchanged
from tests.e2e.comes_to import ask_in_each, begun, in_each, refused, told_to_stop
from tests.e2e.scene import LONG, Scene, unhurried_engine
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from tests.e2e.where import ENDED_SHORT, a_chat_in
from workspaced.fsm.chat import Failure
from workspaced.fsm.events import AgentReport
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

CANCELED = Failure(State.CREATING, "build_canceled", "build was canceled", retryable=True)


async def test_a_job_that_nobody_took(stack: Stack, subtests: pytest.Subtests) -> None:
    """It is canceled at once, and the chat has failed by it, also if it had given up; nobody is told to stop."""
    for situation, _, answer in await ask_in_each(stack, "cancel", ["creating", "not_taken"]):
        before = answer.before
        assert before
        assert before.workspace
        failed = moved(
            answer,
            "cancel",
            state=State.FAILED,
            entered_at=answer.told.entered_at if situation == "creating" else before.entered_at,
            deadline_at=None,
            waiting_for=None,
            workspace=replace(before.workspace, job_status="canceled"),
            failure=CANCELED,
        )
        with subtests.test(situation):
            assert answer == failed._replace(
                reply=replace(failed.reply, outcome="accepted"), changed=["builds", "chats"]
            )
    assert stack.provisioner.cancels == []


async def test_a_job_that_runs(stack: Stack, subtests: pytest.Subtests) -> None:
    """Its provisioner is told, and the chat waits in building, once more if it had given up, for what it says."""
    for situation, scene, answer in await ask_in_each(stack, "cancel", ["building", "build_timeout"]):
        before = answer.before
        assert before
        assert before.workspace
        waits = moved(
            answer,
            "cancel",
            state=State.BUILDING,
            entered_at=before.entered_at if situation == "building" else answer.told.entered_at,
            deadline_at=before.deadline_at if situation == "building" else answer.told.entered_at + LONG,
            waiting_for="build",
            workspace=replace(before.workspace, job_status="canceling"),
        )
        job = await scene.job_of(answer.told.build_id)
        with subtests.test(situation):
            assert answer == waits._replace(reply=replace(waits.reply, outcome="accepted"), changed=["builds", "chats"])
            assert await stack.provisioner.canceled(job) == {
                "job_id": job["job_id"],
                "build_id": job["build_id"],
                "workspace_id": job["workspace"]["id"],
                "reason": "canceled",
            }
        await scene.job("canceled")
        after = await scene.look()
        with subtests.test(f"{situation}, the end"):
            assert after
            assert after.failure == replace(CANCELED, phase=State.BUILDING)


async def test_a_job_that_is_canceled_already(stack: Stack) -> None:
    """The chat as it is and the build in flight; nothing is written, built or said again."""
    [(_, scene, answer)] = await ask_in_each(stack, "cancel", ["canceling"])
    await told_to_stop(scene, await scene.job_of(answer.told.build_id))

    assert answer == unchanged(answer, "attached")
    assert len(stack.provisioner.cancels) == 1


CLEAN_UPS = {"binding": "delete", "connecting": "delete", "starting": "delete", "reconnecting": "stop"}


async def test_what_is_built_is_cleaned_up(stack: Stack, subtests: pytest.Subtests) -> None:
    """Deleted where it never was ready, and its name is free at once; stopped where it was."""
    for situation, scene, answer in await ask_in_each(stack, "cancel", CLEAN_UPS):
        transition: Any = CLEAN_UPS[situation]
        deletes = transition == "delete"
        expected = begun(answer, "cancel", transition)
        other = await scene.ask("create", chat_id=str(uuid4()))
        ((released,),) = await stack.sql(
            "select name_released from workspaced.workspaces where owner_id = $1 and was_ready = $2 and name <> $3",
            scene.owner.id,
            not deletes,
            other.snapshot.workspace.name if other.snapshot and other.snapshot.workspace else "",
        )
        with subtests.test(situation):
            assert answer == expected._replace(changed=["builds", "chats", *(["workspaces"] if deletes else [])])
            assert released is deletes


NOTHING = [
    "no_workspace",
    "deleted",
    "ready",
    "stopping",
    "restarting",
    "stopping_then_delete",
    "stopped",
    "stop_failed",
    "stop_canceled",
    "deleting",
    "delete_failed",
    *ENDED_SHORT,
]


async def test_nothing_to_cancel(stack: Stack, subtests: pytest.Subtests) -> None:
    """409 everywhere else, and all is as it was."""
    expected = (409, "nothing_to_cancel", None, "there is nothing to cancel", True)
    scenes = await in_each(stack, NOTHING)
    for name, scene in ({"no chat": Scene(stack)} | scenes).items():
        found = await refused(scene, "cancel")
        with subtests.test(name):
            assert found == expected


async def test_a_template_may_forbid_it(stack: Stack, subtests: pytest.Subtests) -> None:
    """403, whatever there is to cancel, and the job goes on."""
    template = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain", "allow_user_cancel": False}
    scenes = await in_each(stack, ["creating", "building", "connecting", "ready"])
    await stack.client.put_template(template)
    for name, scene in scenes.items():
        found = await refused(scene, "cancel")
        with subtests.test(name):
            assert found == (403, "cancel_not_allowed", None, "this template does not allow canceling", True)
    assert stack.provisioner.cancels == []


# --- what comes after it ----------------------------------------------------------------------------------------------


async def test_a_success_that_comes_too_late(stack: Stack, subtests: pytest.Subtests) -> None:
    """It is recorded, the job counts as canceled, nothing heals, and the workspace gets its clean-up build."""
    await unhurried_engine(stack)

    async def late(situation: str) -> tuple[Snapshot, Snapshot, list[Any], dict[str, Any], Any]:
        scene = await a_chat_in(stack, situation)
        before = await scene.look()
        assert before
        await scene.built(AgentReport(str(uuid4()), "main"))
        after = await scene.look()
        assert after
        made = (await stack.client.history(scene.chat_id, after_version=before.version)).transitions
        ((kept,),) = await stack.sql("select reported from workspaced.builds where id = $1", before.build_id)
        moves = [(move.from_state, move.to_state, move.cause.event, move.failure) for move in made]
        return before, after, moves, await scene.job_of(after.build_id), kept

    situations = ["canceling", "canceled_untaken"]
    for situation, (before, after, moves, job, kept) in zip(
        situations, await asyncio.gather(*(late(name) for name in situations)), strict=True
    ):
        failure = replace(CANCELED, phase=State.BUILDING)
        failing = [("building", "failed", "job.succeeded", failure)] if situation == "canceling" else []
        with subtests.test(situation):
            assert moves == [*failing, ("failed", "idle", "cleanup", None)]
            assert (kept, job["transition"], job["build_number"]) == ("succeeded", "delete", 2)
            assert after.workspace
            assert before.workspace
            assert after == replace(
                before,
                version=before.version + len(moves),
                state=State.IDLE,
                entered_at=after.entered_at,
                deadline_at=None,
                waiting_for="delete",
                workspace=replace(before.workspace, transition="delete", build_number=2, job_status="pending"),
                build_id=job["build_id"],
                failure=None,
                cause=after.cause,
            )


async def test_a_worker_that_runs_a_canceled_job_is_told_again(stack: Stack, subtests: pytest.Subtests) -> None:
    """However often it takes it; the chat does not move."""
    for situation, scene in (await in_each(stack, ["canceling", "canceled", "canceled_untaken"])).items():
        before = await scene.look()
        assert before
        job = await scene.job_of(before.build_id)
        if situation != "canceled_untaken":
            await told_to_stop(scene, job)
        stack.provisioner.cancels = [told for told in stack.provisioner.cancels if told["job_id"] != job["job_id"]]
        await scene.job("running", attempt=2)
        with subtests.test(situation):
            assert await told_to_stop(scene, job) == "canceled"
            assert await scene.look() == before
