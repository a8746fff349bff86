"""restart on the real servers, row by row of domain.md 2.4, and what comes after its stop."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.e2e.answer import ask, moved, unchanged
from tests.e2e.comes_to import DELETED, NO_WORKSPACE, ask_in_each, begun, in_each, refused
from tests.e2e.scene import LONG, Scene, unhurried_engine
from tests.e2e.stack import ORGANIZATION, Stack
from tests.e2e.where import TO_BE_STOPPED, a_chat_in
from workspaced.fsm.errors import BadRequest, Validation

NOTHING_TO_DO = {
    "restarting": "attached",
    "creating": "conflict",
    "building": "conflict",
    "canceling": "conflict",
    "not_taken": "conflict",
    "build_timeout": "conflict",
    "deleting": "conflict",
    "stopping_then_delete": "conflict",
}


async def test_nothing_to_do(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat as it is and the build in flight; nothing is written, built or said."""
    for situation, _, answer in await ask_in_each(stack, "restart", NOTHING_TO_DO):
        with subtests.test(situation):
            assert answer == unchanged(answer, NOTHING_TO_DO[situation])


async def test_a_stopped_workspace_is_started(stack: Stack) -> None:
    """At once, for there is nothing to stop."""
    [(_, _, answer)] = await ask_in_each(stack, "restart", ["stopped"])

    assert answer == begun(answer, "restart", "start")
    assert answer.told.deadline_at == answer.told.entered_at + LONG


async def test_a_stop_in_flight_is_followed_by_a_start(stack: Stack) -> None:
    """That is noted, and whoever watches is told."""
    [(_, _, answer)] = await ask_in_each(stack, "restart", ["stopping"])
    before = answer.before
    assert before
    assert before.workspace

    noted = moved(answer, "restart", entered_at=before.entered_at, workspace=replace(before.workspace, next="start"))
    assert answer == noted._replace(changed=["chats", "workspaces"], reply=replace(noted.reply, outcome="accepted"))


async def test_it_stops_first(stack: Stack, subtests: pytest.Subtests) -> None:
    """A stop build with `next = start`; the chat is idle and waits for the stop."""
    for situation, _, answer in await ask_in_each(stack, "restart", TO_BE_STOPPED):
        with subtests.test(situation):
            assert answer == begun(answer, "restart", "stop", next="start")


REFUSED = {"no_workspace": NO_WORKSPACE, "deleted": DELETED}


async def test_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    """409 where there is nothing to restart."""
    scenes = await in_each(stack, REFUSED)
    for situation, expected in REFUSED.items():
        with subtests.test(situation):
            assert await refused(scenes[situation], "restart") == expected
    with subtests.test("no chat"):
        assert await refused(Scene(stack), "restart") == NO_WORKSPACE


# --- what follows the stop --------------------------------------------------------------------------------------------


async def test_it_survives_caller_and_engine(stack: Stack) -> None:
    """The transaction that records the stop's end requests the start, whichever engine that is."""
    first = await stack.engine()
    scene = await a_chat_in(stack, "ready")
    asked = await ask(scene, "restart")
    await stack.stop(first)
    await unhurried_engine(stack)
    await scene.job("running")
    await scene.job("succeeded")
    after = await scene.look()
    assert after
    assert asked.told.workspace
    job = await scene.job_of(after.build_id)
    history = await stack.client.history(scene.chat_id, after_version=asked.told.version)

    ended = history.transitions[-2:]
    assert [(move.from_state, move.to_state, move.cause.event) for move in history.transitions] == [
        ("idle", "idle", "job.running"),
        ("idle", "idle", "job.succeeded"),
        ("idle", "creating", "job.succeeded"),
    ]
    assert (ended[0].at, ended[0].cause, ended[0].build_id) == (ended[1].at, ended[1].cause, asked.told.build_id)
    assert (job["transition"], job["build_number"], job["prior_build_id"]) == ("start", 3, asked.told.build_id)
    assert after == replace(
        asked.told,
        version=asked.told.version + 3,
        state=after.state,
        entered_at=ended[1].at,
        deadline_at=ended[1].at + LONG,
        waiting_for="provisioner",
        workspace=replace(asked.told.workspace, transition="start", build_number=3, next=None),
        build_id=job["build_id"],
        cause=ended[1].cause,
    )
    assert after.state == "creating"


async def test_no_start_follows_a_stop_that_did_not_succeed(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat stays idle, and shows what became of the stop; a restart is a stop again then."""
    await unhurried_engine(stack)
    for status, error in [("failed", "no answer"), ("failed", ""), ("canceled", "")]:
        scene = await a_chat_in(stack, "restarting")
        before = await scene.look()
        await scene.job(status, error=error)
        after = await scene.look()
        again = await ask(scene, "restart")
        with subtests.test(f"{status} {error}"):
            assert before
            assert before.workspace
            assert after
            assert after == replace(
                before,
                version=before.version + 1,
                waiting_for=None,
                workspace=replace(before.workspace, job_status=status, job_error=error or None, next=None),
                cause=after.cause,
            )
            assert after.cause
            assert after.cause.event == f"job.{status}"
            assert again == begun(again, "restart", "stop", next="start")


def a_parameter(name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any field
    """A text with a default."""
    return {"name": name, "type": "string", "mutable": True, "default": "-"} | fields


async def test_its_parameters(stack: Stack) -> None:
    """Given ones replace earlier values by name, the others carry over, and the stop keeps those it had."""
    await unhurried_engine(stack)
    parameters = [a_parameter("region"), a_parameter("size"), a_parameter("disk")]
    template = {"organization_id": ORGANIZATION, "name": "sized", "parameters": parameters}
    stored = (await stack.client.put_template(template)).template
    scene = Scene(stack)
    await scene.ask("create", template_id=stored.id, parameters={"region": "eu", "size": "s"})
    await scene.built()

    stopping = await scene.job_of((await scene.ask("restart", parameters={"size": "l"})).build_id)
    await scene.job("succeeded")
    after = await scene.look()
    assert after
    starting = await scene.job_of(after.build_id)

    assert stopping["parameters"] == {"region": "eu", "size": "s", "disk": "-"}
    assert starting["parameters"] == {"region": "eu", "size": "l", "disk": "-"}


async def test_parameters_are_checked_before_anything_stops(stack: Stack, subtests: pytest.Subtests) -> None:
    """400 with every fault; the workspace is as it was."""
    faults = (Validation("gpu", "unknown parameter"), Validation("tpu", "unknown parameter"))
    for situation, scene in (await in_each(stack, ["ready", "stopping", "stopped"])).items():
        before = await scene.look()
        with subtests.test(situation):
            with pytest.raises(BadRequest) as caught:
                await scene.ask("restart", parameters={"gpu": "1", "tpu": "2"})
            assert (caught.value.code, str(caught.value)) == ("invalid_parameters", "unable to validate parameters")
            assert caught.value.validations == faults
            assert await scene.look() == before
