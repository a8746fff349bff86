"""The situations of the decision tables are the same on the real servers as in the core."""

import asyncio
from typing import Any

import pytest

from tests import situations
from tests.e2e.scene import unhurried_engine
from tests.e2e.stack import Stack
from tests.e2e.where import a_chat_in
from workspaced.fsm.snapshot import Snapshot


def shape(chat: Snapshot) -> dict[str, Any]:
    """What of a snapshot does not depend on ids and times."""
    workspace, agent, failure, cause = chat.workspace, chat.agent, chat.failure, chat.cause
    return {
        "version": chat.version,
        "state": chat.state,
        "waiting_for": chat.waiting_for,
        "workspace": workspace
        and (workspace.transition, workspace.build_number, workspace.job_status, workspace.deleted, workspace.next),
        "job_error": workspace and workspace.job_error,
        "has": [name for name in ("build_id", "agent_id", "deadline_at") if getattr(chat, name) is not None],
        "agent": agent and (agent.name, agent.external, agent.link, chat.lifecycle),
        "failure": failure and (failure.phase, failure.code, failure.retryable),
        # A stage's agent is lost by the server's word, a scene's by its own.
        "cause": cause and cause.event.replace("sys.disconnect", "agent.disconnected"),
    }


async def test_every_situation(stack: Stack, subtests: pytest.Subtests) -> None:
    """The same words lead to the same version of the same chat."""
    await unhurried_engine(stack)
    names = list(situations.SITUATIONS)
    scenes = await asyncio.gather(*(a_chat_in(stack, name) for name in names))
    found = await asyncio.gather(*(scene.look() for scene in scenes))

    for name, snapshot in zip(names, found, strict=True):
        with subtests.test(name):
            assert snapshot is not None
            assert shape(snapshot) == shape(situations.a_chat_in(name).snapshot)
