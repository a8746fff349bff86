"""stop on the real servers, row by row of domain.md 2.4: the exact reply, and all that it did."""

import pytest
from msgspec.structs import replace

from tests.e2e.answer import moved, unchanged
from tests.e2e.comes_to import DELETED, NO_WORKSPACE, ask_in_each, begun, in_each, refused
from tests.e2e.scene import Scene
from tests.e2e.stack import Stack
from tests.e2e.where import TO_BE_STOPPED

NOTHING_TO_DO = {
    "stopped": "stopped",
    "stopping": "attached",
    "creating": "conflict",
    "building": "conflict",
    "canceling": "conflict",
    "not_taken": "conflict",
    "build_timeout": "conflict",
    "deleting": "conflict",
    "stopping_then_delete": "attached",
}


async def test_nothing_to_do(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat as it is and the build in flight; nothing is written, built or said."""
    for situation, _, answer in await ask_in_each(stack, "stop", NOTHING_TO_DO):
        with subtests.test(situation):
            assert answer == unchanged(answer, NOTHING_TO_DO[situation])


async def test_a_noted_start_is_dropped(stack: Stack) -> None:
    """A restart on its way ends stopped, and whoever watches is told."""
    [(_, scene, answer)] = await ask_in_each(stack, "stop", ["restarting"])
    before = answer.before
    assert before
    assert before.workspace
    await scene.job("running")
    await scene.job("succeeded")
    after = await scene.look()

    assert before.workspace.next == "start"
    expected = moved(answer, "stop", entered_at=before.entered_at, workspace=replace(before.workspace, next=None))
    assert answer == expected._replace(changed=["chats", "workspaces"])
    assert after
    assert after.workspace
    assert (after.state, after.workspace.transition, after.workspace.job_status) == ("idle", "stop", "succeeded")
    assert (await scene.ask("stop")).outcome == "stopped"


async def test_it_stops(stack: Stack, subtests: pytest.Subtests) -> None:
    """A stop build; the chat is idle, without an agent, and waits for nothing but that build."""
    for situation, _, answer in await ask_in_each(stack, "stop", TO_BE_STOPPED):
        with subtests.test(situation):
            expected = begun(answer, "stop", "stop")
            assert answer == expected


REFUSED = {"no_workspace": NO_WORKSPACE, "deleted": DELETED}


async def test_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    """409 where there is nothing to stop."""
    scenes = await in_each(stack, REFUSED)
    for situation, expected in REFUSED.items():
        with subtests.test(situation):
            assert await refused(scenes[situation], "stop") == expected
    with subtests.test("no chat"):
        assert await refused(Scene(stack), "stop") == NO_WORKSPACE
