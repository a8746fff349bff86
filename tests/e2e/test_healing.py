"""What heals a failed chat, and what does not, on the real servers (domain.md 6.4)."""

import asyncio
from collections.abc import Iterable
from uuid import uuid4

import pytest

from tests.e2e.scene import LONG, Scene, unhurried_engine
from tests.e2e.stack import Stack
from tests.e2e.where import ENDED_SHORT, a_chat_in
from workspaced.bus.messages import HistoryEntry
from workspaced.fsm.snapshot import Snapshot

Said = tuple[str, ...]
"""A word of `Scene`, or one of ours, and its arguments."""


async def back(scene: Scene) -> None:
    """The agent connects anew, over another connection: the one that was lost never counts again."""
    agent = await scene.stack.provisioner.agent(scene.agent.job, own=True)
    agent.id = scene.agent.id
    scene.agents[agent.id] = agent
    await scene.connected()


async def begun_elsewhere(scene: Scene, transition: str) -> None:
    """Somebody else begins the workspace's next build."""
    there = await scene.look()
    assert there
    assert there.workspace
    build = {"build_id": str(uuid4()), "job_id": str(uuid4()), "transition": transition}
    number = (there.workspace.build_number or 0) + 1
    await scene.stack.provisioner.announce({"workspace": {"id": there.workspace.id}}, build | {"build_number": number})


async def say(scene: Scene, *words: Said) -> tuple[Snapshot, Snapshot, list[HistoryEntry]]:
    """The chat before and after these words, and its transitions by them."""
    before = await scene.look()
    assert before
    for word, *arguments in words:
        if word == "back":
            await back(scene)
        elif word == "begun_elsewhere":
            await begun_elsewhere(scene, *arguments)
        else:
            await getattr(scene, word)(*arguments)
    after = await scene.look()
    assert after
    made = await scene.stack.client.history(scene.chat_id, after_version=before.version)
    return before, after, list(made.transitions)


Found = tuple[Snapshot, Snapshot, list[HistoryEntry]]


async def say_in_each(stack: Stack, rows: Iterable[tuple[str, list[Said]]]) -> list[Found]:
    """For each row, of a situation and of what is said there."""
    await unhurried_engine(stack)

    async def one(situation: str, words: list[Said]) -> Found:
        return await say(await a_chat_in(stack, situation), *words)

    return await asyncio.gather(*(one(*row) for row in rows))


HEALS: dict[str, tuple[str, list[Said], list[str]]] = {
    "job_not_taken, running": ("not_taken", [("job", "running")], ["building"]),
    "job_not_taken, canceling": ("not_taken", [("job", "canceling")], ["building"]),
    "job_not_taken, succeeded": ("not_taken", [("job", "succeeded")], ["binding"]),
    "job_not_taken, built": ("not_taken", [("built",)], ["binding", "connecting"]),
    "build_timeout, succeeded": ("build_timeout", [("job", "succeeded")], ["binding"]),
    "build_timeout, built": ("build_timeout", [("built",)], ["binding", "connecting"]),
    "agents_unknown, agents told": ("agents_unknown", [("built",)], ["binding", "connecting"]),
    "agent_not_connected": ("never_connected", [("connected",)], ["starting"]),
    "agent_not_connected, overdue": ("link_timeout", [("connected",)], ["starting"]),
    "agent_disconnected": ("agent_disconnected", [("back",)], ["starting", "ready"]),
    "startup_failed, ready": ("startup_failed", [("lifecycle", "ready")], ["ready"]),
    "startup_failed, ready while away": ("startup_failed", [("lost",), ("lifecycle", "ready"), ("back",)], ["ready"]),
    "startup_failed, starting again": ("startup_failed", [("back",), ("lifecycle", "starting")], ["starting"]),
    "startup_failed, starting on its connection": ("startup_failed", [("lifecycle", "starting")], ["starting"]),
    "startup_timeout, ready": ("startup_timeout", [("lifecycle", "ready")], ["ready"]),
    "startup_timeout, ready while away": ("startup_timeout_lost", [("lifecycle", "ready"), ("back",)], ["ready"]),
    "startup_timeout, starting again": ("startup_timeout", [("back",), ("lifecycle", "starting")], ["starting"]),
}


async def test_better_facts_heal(stack: Stack, subtests: pytest.Subtests) -> None:
    """A late success moves a failed chat on from where it would be, with a new deadline where it waits."""
    found = await say_in_each(stack, [row[:2] for row in HEALS.values()])
    for (name, (_, _, states)), (_, after, made) in zip(HEALS.items(), found, strict=True):
        moved = [move for move in made if move.from_state != move.to_state]
        with subtests.test(name):
            assert [move.to_state for move in moved] == states
            assert moved[0].from_state == "failed"
            assert all(move.failure is None for move in moved)
            assert (after.state, after.failure) == (states[-1], None)
            assert after.deadline_at == (None if after.state == "ready" else after.entered_at + LONG)


STAYS: dict[str, tuple[str, list[Said]]] = {
    "build_failed": ("build_failed", [("job", "running"), ("job", "succeeded"), ("job", "canceled")]),
    "insufficient_quota": ("quota", [("job", "succeeded")]),
    "build_canceled": ("canceled", [("job", "failed")]),
    "no_agent": ("no_agent", [("built",)]),
    "selection_error": ("selection_error", [("job", "succeeded")]),
    "a build that was over when it succeeded": ("ended_by_limit_then_built", [("connected",), ("lifecycle", "ready")]),
    "agent_disconnected, lost again": ("agent_disconnected", [("back",), ("lost",), ("expire",)]),
    "startup_timeout, lost": ("startup_timeout", [("lost",)]),
    "startup_failed, lost": ("startup_failed", [("lost",)]),
}


async def test_what_does_not_heal(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat is failed as it was, whatever its build or its agent come to; a lost link is in the snapshot."""
    found = await say_in_each(stack, STAYS.values())
    for (name, (_, words)), (before, after, _) in zip(STAYS.items(), found, strict=True):
        with subtests.test(name):
            assert (after.state, after.failure, after.deadline_at) == ("failed", before.failure, None)
            if ("lost",) in words:
                assert after.agent
                assert after.agent.link == "disconnected"


ENDS = {"failed": ("build_failed", "build failed"), "canceled": ("build_canceled", "build was canceled")}
TOLD_ANEW: dict[str, tuple[str, list[Said], tuple[str, str, str]]] = {
    **{f"job_not_taken, {end}": ("not_taken", [("job", end)], ("creating", *told)) for end, told in ENDS.items()},
    **{f"build_timeout, {end}": ("build_timeout", [("job", end)], ("building", *told)) for end, told in ENDS.items()},
    "startup_timeout, start_error": (
        "startup_timeout",
        [("lifecycle", "start_error")],
        ("starting", "startup_failed", "startup scripts ended in start_error"),
    ),
}


async def test_the_end_that_comes_after_a_deadline(stack: Stack, subtests: pytest.Subtests) -> None:
    """It is told in place of what the deadline guessed; the phase stays where the chat stopped short."""
    found = await say_in_each(stack, [row[:2] for row in TOLD_ANEW.values()])
    for (name, (_, _, expected)), (_, after, made) in zip(TOLD_ANEW.items(), found, strict=True):
        with subtests.test(name):
            assert [(move.from_state, move.to_state) for move in made] == [("failed", "failed")]
            assert after.failure == made[0].failure
            assert after.failure
            assert (after.failure.phase, after.failure.code, after.failure.message) == expected


FAILED = ["not_taken", "build_timeout", *ENDED_SHORT]


async def test_a_newer_build(stack: Stack, subtests: pytest.Subtests) -> None:
    """Whoever began it: a start build heals everything, and a failure of what stops does not matter any more."""
    rows = [(situation, transition) for situation in FAILED for transition in ("start", "stop", "delete")]
    found = await say_in_each(stack, [(situation, [("begun_elsewhere", transition)]) for situation, transition in rows])
    for (situation, transition), (before, after, made) in zip(rows, found, strict=True):
        state = "creating" if transition == "start" else "idle"
        with subtests.test(f"{situation}, {transition}"):
            assert [(move.from_state, move.to_state, move.cause.event) for move in made] == [
                ("failed", state, "build.created")
            ]
            assert before.workspace
            assert after.workspace
            assert (after.failure, after.agent_id, after.agent, after.first_agent) == (None, None, None, None)
            assert (after.workspace.transition, after.workspace.job_status) == (transition, "pending")
            assert after.workspace.build_number == (before.workspace.build_number or 0) + 1
            assert after.build_id != before.build_id
