"""start on the real servers, row by row of domain.md 2.3: the exact reply, and all that it did."""

from datetime import datetime
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.e2e.answer import Answer, ask, moved, only_what_was_asked, unchanged
from tests.e2e.comes_to import ask_in_each
from tests.e2e.refusals import refusal
from tests.e2e.scene import GRACE, LONG, Scene, unhurried_engine
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from tests.e2e.where import a_chat_in
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import Conflict
from workspaced.fsm.state import State

IS_THERE = {
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
    "no_agent": "exists",
    "selection_error": "exists",
    "startup_failed": "exists",
    "startup_failed_lost": "exists",
    "startup_failed_long_lost": "exists",
}


async def test_what_is_there(stack: Stack, subtests: pytest.Subtests) -> None:
    """The chat as it is, and the build in flight if there is one; nothing is written, built or said."""
    for situation, _, answer in await ask_in_each(stack, "start", IS_THERE):
        with subtests.test(situation):
            assert answer == unchanged(answer, IS_THERE[situation])


WAITS_AGAIN = {
    "not_taken": ("creating", "provisioner"),
    "build_timeout": ("building", "build"),
    "never_connected": ("connecting", "agent"),
    "link_timeout": ("connecting", "agent"),
    "agent_disconnected": ("connecting", "agent"),
    "long_disconnected": ("connecting", "agent"),
    "startup_timeout": ("starting", "startup_scripts"),
    "startup_timeout_lost": ("connecting", "agent"),
}


def due_by(answer: Answer) -> datetime:
    """When a chat that waits again gives up: an agent that was lost has the whole grace once more."""
    agent = answer.told.agent
    return answer.told.entered_at + (GRACE if agent and agent.link == "disconnected" else LONG)


async def test_it_waits_again(stack: Stack, subtests: pytest.Subtests) -> None:
    """A chat that gave up is back at what it waited for, with a new deadline; nothing is built."""
    for situation, _, answer in await ask_in_each(stack, "start", WAITS_AGAIN):
        state, waiting_for = WAITS_AGAIN[situation]
        with subtests.test(situation):
            assert answer == moved(
                answer, "start", state=State(state), waiting_for=waiting_for, deadline_at=due_by(answer)
            )


BEGINS_ANEW = [
    "stopped",
    "stop_failed",
    "stop_canceled",
    "delete_failed",
    "failed_untaken",
    "build_failed",
    "quota",
    "canceled_untaken",
    "canceled",
    "ended_by_limit_then_built",
    "agents_unknown",
]


def a_start_build(answer: Answer) -> Answer:
    """What `answer` has to be where the same workspace gets a start build; its id and the moment are its own."""
    before, told = answer.before, answer.told
    assert before is not None
    assert before.workspace is not None
    number = (before.workspace.build_number or 0) + 1
    workspace = replace(before.workspace, transition="start", build_number=number, job_status="pending", job_error=None)
    assert told.build_id not in {None, before.build_id}
    expected = moved(
        answer,
        "start",
        state=State.CREATING,
        waiting_for="provisioner",
        deadline_at=told.entered_at + LONG,
        workspace=workspace,
        build_id=told.build_id,
        agent_id=None,
        agent=None,
        lifecycle=None,
    )
    return expected._replace(
        reply=Reply("accepted", expected.now, told.build_id),
        jobs=[("start", number, workspace.id)],
        changed=["builds", "chats"],
    )


async def test_it_begins_anew(stack: Stack, subtests: pytest.Subtests) -> None:
    """The workspace gets a start build under the next number; agent, failure and the last build's error are gone."""
    for situation, _, answer in await ask_in_each(stack, "start", BEGINS_ANEW):
        with subtests.test(situation):
            assert answer == a_start_build(answer)


NO_WORKSPACE = ("no_workspace", "chat has no workspace; use create_workspace first")
DELETED = ("workspace_deleted", "workspace was deleted; use create_workspace to make a new one")


async def test_nothing_to_start(stack: Stack, subtests: pytest.Subtests) -> None:
    """Refused in the words that a model reads; the chat stays as it is, and one without a row gets none."""
    await unhurried_engine(stack)
    scenes = {
        "no chat": (Scene(stack), NO_WORKSPACE),
        "no workspace": (await a_chat_in(stack, "no_workspace"), NO_WORKSPACE),
        "deleted": (await a_chat_in(stack, "deleted"), DELETED),
    }

    for name, (scene, (code, text)) in scenes.items():
        before = await scene.look()
        with subtests.test(name):
            with pytest.raises(Conflict) as refused:
                await ask(scene, "start")
            assert (refused.value.code, str(refused.value), refused.value.field) == (code, text, None)
            assert await scene.look() == before
    await only_what_was_asked(stack)


async def test_its_parameters(stack: Stack) -> None:
    """Given ones replace earlier ones by name, the others carry over; what may not change is refused by name."""
    await stack.engine()
    rules = [{"name": "cpu", "default": "1"}, {"name": "ram"}, {"name": "zone", "mutable": False}]
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain", "parameters": rules}
    await stack.client.put_template(known)
    chat = str(uuid4())
    first = await stack.provisioner.job((await stack.create(chat, parameters={"ram": "2", "zone": "a"})).build_id)
    await stack.provisioner.tell(first, "failed", error="no such image")

    refused = await refusal(
        stack, "start", {"chat_id": chat, "request_id": "r", "parameters": {"zone": "b", "ram": "3", "gpu": "1"}}
    )
    reply = await stack.client.start(chat, parameters={"ram": "4", "zone": "a"}, request_id="r")
    job = await stack.provisioner.job(reply.build_id)

    assert refused == (
        400,
        {
            "code": "invalid_parameters",
            "error": "unable to validate parameters",
            "validations": [
                {"field": "gpu", "detail": "unknown parameter"},
                {"field": "zone", "detail": "cannot be changed after creation"},
            ],
        },
    )
    assert first["parameters"] == {"cpu": "1", "ram": "2", "zone": "a"}
    assert job["parameters"] == {"cpu": "1", "ram": "4", "zone": "a"}
    assert (job["build_number"], job["prior_build_id"]) == (2, first["build_id"])
    await only_what_was_asked(stack)
