"""unreachable on the real servers, row by row of domain.md 2.5: two signals it takes to lose a workspace."""

from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.e2e.answer import Answer, ask, moved, unchanged
from tests.e2e.comes_to import in_each
from tests.e2e.scene import GRACE, Scene, unhurried_engine
from tests.e2e.stack import Stack
from tests.e2e.where import a_chat_in
from workspaced.bus.messages import Reply
from workspaced.fsm.chat import Failure
from workspaced.fsm.state import State


async def triple(scene: Scene) -> dict[str, Any]:
    """What the chat is bound to."""
    there = await scene.look()
    assert there
    assert there.workspace
    return {"workspace_id": there.workspace.id, "build_id": there.build_id, "agent_id": there.agent_id}


async def report(scene: Scene) -> Answer:
    """The daemon could not reach the bound agent."""
    return await ask(scene, "unreachable", **await triple(scene), reason="no responders")


async def test_the_agent_is_doubted(stack: Stack, subtests: pytest.Subtests) -> None:
    """Its link is gone from now on, the chat has the grace, and the agent is asked to tell again."""
    for situation, scene in (await in_each(stack, ["ready", "starting"])).items():
        answer = await report(scene)
        await stack.provisioner.resynced(f"ws.resync.{(await triple(scene))['workspace_id']}")
        before, told = answer.before, answer.told
        with subtests.test(situation):
            assert before
            assert before.agent
            assert told.agent
            doubted = moved(
                answer,
                "unreachable",
                state=State.CONNECTING,
                deadline_at=told.entered_at + GRACE,
                waiting_for="agent",
                agent=replace(before.agent, link="disconnected", link_since=told.agent.link_since),
            )
            assert answer == doubted._replace(
                reply=replace(doubted.reply, outcome="accepted"), changed=["agents", "chats"]
            )
            assert before.agent.link_since < told.agent.link_since <= told.entered_at


async def test_a_live_agent_answers(stack: Stack, subtests: pytest.Subtests) -> None:
    """With `connected` and the lifecycle that it had, and the chat is where it was."""
    ways = {"ready": ["connecting", "starting", "ready"], "starting": ["connecting", "starting"]}
    for situation, scene in (await in_each(stack, ways)).items():
        doubted = await report(scene)
        await scene.connected()
        await scene.lifecycle(situation)
        before, after = doubted.before, await scene.look()
        made = (await stack.client.history(scene.chat_id, after_version=doubted.told.version)).transitions
        with subtests.test(situation):
            assert [(move.from_state, move.to_state) for move in made] == list(pairwise(ways[situation]))
            assert before
            assert before.agent
            assert after
            assert after.agent
            assert after == replace(
                before,
                version=doubted.told.version + len(made),
                entered_at=after.entered_at,
                deadline_at=after.deadline_at,
                agent=replace(before.agent, link="connected", link_since=after.agent.link_since),
                cause=after.cause,
                typical=after.typical,
            )


async def test_a_silent_agent_is_lost(stack: Stack) -> None:
    """After the grace, and only then."""
    await unhurried_engine(stack)
    scene = await a_chat_in(stack, "ready")
    doubted = await report(scene)
    await scene.expire()
    after = await scene.look()

    text = "the workspace agent has been disconnected for 30m"
    assert after
    assert after == replace(
        doubted.told,
        version=doubted.told.version + 1,
        state=State.FAILED,
        entered_at=after.entered_at,
        deadline_at=None,
        waiting_for=None,
        failure=Failure(State.CONNECTING, "agent_disconnected", text, retryable=True),
        cause=after.cause,
        typical=after.typical,
    )


ELSEWHERE = [
    "connecting",
    "reconnecting",
    "never_connected",
    "link_timeout",
    "agent_disconnected",
    "long_disconnected",
    "startup_timeout",
    "startup_failed",
]


async def test_elsewhere_it_is_only_recorded(stack: Stack, subtests: pytest.Subtests) -> None:
    """Where nobody believes that the agent is reachable, nothing changes."""
    for situation, scene in (await in_each(stack, ELSEWHERE)).items():
        answer = await report(scene)
        recorded = await stack.sql(
            "select from workspaced.inputs where chat_id = $1 and outcome = 'attached'",
            scene.chat_id,
        )
        with subtests.test(situation):
            assert answer == unchanged(answer, "attached")
            assert len(recorded) == 1
    assert [subject for subject in stack.provisioner.resyncs if subject != "ws.resync"] == []


async def test_it_is_about_another_triple(stack: Stack, subtests: pytest.Subtests) -> None:
    """What is not bound any more says nothing."""
    scene = (await in_each(stack, ["ready"]))["ready"]
    for field in ("workspace_id", "build_id", "agent_id"):
        answer = await ask(scene, "unreachable", **await triple(scene) | {field: str(uuid4())})
        with subtests.test(field):
            assert answer == unchanged(answer, "conflict")


async def test_it_is_about_no_agent(stack: Stack, subtests: pytest.Subtests) -> None:
    """Where none is bound every report is about another triple; a chat without a row gets none."""
    scenes = await in_each(stack, ["creating", "building", "binding", "stopped", "stopping", "deleted", "no_agent"])
    for situation, scene in scenes.items():
        there = await scene.look()
        assert there
        assert there.workspace
        named = {
            "workspace_id": there.workspace.id,
            "build_id": there.build_id or str(uuid4()),
            "agent_id": str(uuid4()),
        }
        answer = await ask(scene, "unreachable", **named)
        with subtests.test(situation):
            assert answer == unchanged(answer, "conflict")._replace(reply=Reply("conflict", answer.before))
    with subtests.test("no chat"):
        nobody = {name: str(uuid4()) for name in ("workspace_id", "build_id", "agent_id")}
        answer = await ask(Scene(stack), "unreachable", **nobody)
        assert (answer.reply, answer.now, answer.changed) == (Reply("conflict", None), None, [])
