"""Which agent a chat is bound to, on the real servers: the rows of domain.md 7.1, and the rules of 7.2."""

import asyncio
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from tests.e2e.scene import Scene, unhurried_engine
from tests.e2e.stack import Stack
from tests.e2e.where import a_chat_in
from workspaced.fsm.events import AgentReport

NOBODY = "no eligible workspace agents found"
SEVERAL = 'multiple agents match the chat suffix "-coderd-chat": {}; only one agent should use this suffix'


class Told(NamedTuple):
    """An agent as the job tells it; `chosen` if it is the one."""

    name: str
    display_order: int = 0
    child: bool = False
    last_id: bool = False
    """Its id sorts behind all others."""
    chosen: bool = False

    def report(self) -> AgentReport:
        """With an id of its own."""
        agent_id = str(uuid4())
        return AgentReport(
            id=f"f{agent_id[1:]}" if self.last_id else f"0{agent_id[1:]}",
            name=self.name,
            display_order=self.display_order,
            parent_id=str(UUID(int=1)) if self.child else None,
        )


CHOSEN = {
    "the only one": [Told("main", chosen=True)],
    "by name": [Told("b"), Told("a", chosen=True)],
    "by lower-case name": [Told("B", chosen=True), Told("c")],
    "by exact name": [Told("a"), Told("A", chosen=True)],
    "by id": [Told("a", last_id=True), Told("a", chosen=True)],
    "by display_order before name": [Told("a", 1), Told("b", 0, chosen=True)],
    "a negative display_order": [Told("a"), Told("z", -1, chosen=True)],
    "the suffix": [Told("a"), Told("z-coderd-chat", chosen=True)],
    "the suffix before display_order": [Told("a", -1), Told("z-coderd-chat", 9, chosen=True)],
    "the suffix in any case": [Told("a"), Told("z-CODERD-Chat", chosen=True)],
    "the bare suffix": [Told("a"), Told("-coderd-chat", chosen=True)],
    "no suffix without its hyphen": [Told("a", chosen=True), Told("coderd-chat")],
    "no suffix in the middle": [Told("a", chosen=True), Told("x-coderd-chat-2")],
    "no child": [Told("a", child=True), Told("b", chosen=True)],
    "no child with the suffix": [Told("a-coderd-chat", child=True), Told("b", chosen=True)],
    "one suffix beside a child's": [Told("a-coderd-chat", child=True), Told("b-coderd-chat", chosen=True)],
}
NONE_CHOSEN = {
    "none": ([], "no_agent", NOBODY),
    "only a child": ([Told("main", child=True)], "no_agent", NOBODY),
    "two suffixes": (
        [Told("b-coderd-chat"), Told("a"), Told("a-coderd-chat")],
        "selection_error",
        SEVERAL.format("a-coderd-chat, b-coderd-chat"),
    ),
    "three, in their order": (
        [Told("B-coderd-chat"), Told("a-coderd-chat", 1), Told("-CODERD-CHAT")],
        "selection_error",
        SEVERAL.format("-CODERD-CHAT, B-coderd-chat, a-coderd-chat"),
    ),
}


async def built(stack: Stack, told: list[Told]) -> tuple[list[AgentReport], Scene]:
    """A chat whose build has brought these agents."""
    scene = await a_chat_in(stack, "building")
    reports = [agent.report() for agent in told]
    await scene.job("succeeded", agents=reports)
    await scene.look()
    return reports, scene


async def kept(stack: Stack, scene: Scene) -> tuple[Any, ...]:
    """State and triple in the row, and every state that the success led to with the triple told there."""
    ((state, *triple),) = await stack.sql(
        "select state, workspace_id::text, build_id::text, agent_id::text from workspaced.chats where id = $1",
        scene.chat_id,
    )
    history = await stack.client.history(scene.chat_id, after_version=2)
    return state, triple, [(row.to_state, row.build_id, row.agent_id) for row in history.transitions]


async def test_the_chosen_one(stack: Stack, subtests: pytest.Subtests) -> None:
    """The triple is written as one value by the transaction that leaves binding, and not before."""
    await unhurried_engine(stack)
    found = await asyncio.gather(*(built(stack, told) for told in CHOSEN.values()))
    for (name, told), (reports, scene) in zip(CHOSEN.items(), found, strict=True):
        [chosen] = [report for agent, report in zip(told, reports, strict=True) if agent.chosen]
        now = await stack.client.get(scene.chat_id)
        state, triple, moves = await kept(stack, scene)
        with subtests.test(name):
            assert now.workspace
            assert now.agent
            assert (now.agent_id, now.agent.name, now.agent.link) == (chosen.id, chosen.name, "connecting")
            assert (state, triple) == ("connecting", [now.workspace.id, now.build_id, chosen.id])
            assert moves == [("binding", now.build_id, None), ("connecting", now.build_id, chosen.id)]


async def test_none_chosen(stack: Stack, subtests: pytest.Subtests) -> None:
    """It leaves (workspace, build, null), and the failure says why."""
    await unhurried_engine(stack)
    found = await asyncio.gather(*(built(stack, told) for told, _, _ in NONE_CHOSEN.values()))
    for (name, (_, code, text)), (_, scene) in zip(NONE_CHOSEN.items(), found, strict=True):
        now = await stack.client.get(scene.chat_id)
        state, triple, moves = await kept(stack, scene)
        with subtests.test(name):
            assert now.workspace
            assert now.failure
            assert (now.failure.phase, now.failure.code, now.failure.message) == ("binding", code, text)
            assert (state, triple) == ("failed", [now.workspace.id, now.build_id, None])
            assert moves == [("binding", now.build_id, None), ("failed", now.build_id, None)]


async def test_a_build_drops_the_agent_at_once(stack: Stack) -> None:
    """It is pushed; agent and build never name different builds, and the next build's agent is another one."""
    await unhurried_engine(stack)
    scene = await a_chat_in(stack, "ready")
    before = await scene.look()
    assert before
    await scene.ask("restart")
    await scene.job("succeeded")
    await scene.built()
    after = await scene.look()
    assert after
    pushes = [push["snapshot"] for push in stack.pushes.heard[scene.chat_id]]
    bound = {(push["build_id"], push["agent_id"]) for push in pushes if push["agent_id"]}
    (dropped,) = [push for push in stack.pushes.heard[scene.chat_id] if push["from"] == "ready"]

    assert bound == {(before.build_id, before.agent_id), (after.build_id, after.agent_id)}
    assert (dropped["to"], dropped["snapshot"]["agent_id"], dropped["snapshot"]["agent"]) == ("idle", None, None)
    assert after.agent_id not in {None, before.agent_id}


async def test_a_child_lives_by_its_workspace(stack: Stack) -> None:
    """A later change of the parent's binding does not reach it."""
    await unhurried_engine(stack)
    scene = await a_chat_in(stack, "long_disconnected")
    child = str(uuid4())
    copied = (await scene.ask("attach", chat_id=child, from_chat_id=scene.chat_id)).snapshot
    await scene.ask("create")
    parents, childs = await scene.look(), await stack.client.get(child)
    assert parents
    assert parents.workspace
    assert copied

    assert parents.workspace.id != childs.workspace.id if childs.workspace else False
    assert (childs.workspace, childs.build_id, childs.agent_id) == (copied.workspace, copied.build_id, copied.agent_id)
