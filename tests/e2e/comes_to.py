"""What a row of a command table comes to, as the whole `Answer`: what a command begins, and what refuses it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec.structs import replace

from tests.e2e.answer import Answer, ask, only_what_was_asked, rows_of
from tests.e2e.provisioner import Body
from tests.e2e.scene import Scene, unhurried_engine
from tests.e2e.stack import Stack
from tests.e2e.where import a_chat_in
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.state import State
from workspaced.fsm.values import Transition

Row = tuple[str, Scene, Answer]
There = Callable[[Stack, str], Awaitable[Scene]]
Refusal = tuple[int, str, str | None, str, bool]
"""Status, code, field, text; whether all is as before."""

NO_WORKSPACE: Refusal = (409, "no_workspace", None, "chat has no workspace; use create_workspace first", True)
DELETED: Refusal = (
    409, "workspace_deleted", None, "workspace was deleted; use create_workspace to make a new one", True
)  # fmt: skip


async def in_each(stack: Stack, situations: Iterable[str], there: There = a_chat_in) -> dict[str, Scene]:
    """A scene for each situation, on one engine that nothing hurries; `there` makes it."""
    await unhurried_engine(stack)
    names = list(situations)
    return dict(zip(names, await asyncio.gather(*(there(stack, name) for name in names)), strict=True))


async def ask_in_each(stack: Stack, verb: str, situations: Iterable[str], there: There = a_chat_in) -> list[Row]:
    """What a command comes to in each situation."""
    scenes = await in_each(stack, situations, there)
    answers = await asyncio.gather(*(ask(scene, verb) for scene in scenes.values()))
    await only_what_was_asked(stack)
    return [(name, scene, answer) for (name, scene), answer in zip(scenes.items(), answers, strict=True)]


def begun(answer: Answer, verb: str, transition: Transition, **workspace: Any) -> Answer:  # noqa: ANN401  # any field
    """What `answer` has to be where the command requested a build of the chat's workspace, which drops its agent.

    The new build's id and the moment are its own; `workspace` are fields of it that change besides.
    """
    before, told = answer.before, answer.told
    assert before is not None
    assert before.workspace is not None
    assert told.cause is not None
    assert told.build_id not in {None, before.build_id}
    number = (before.workspace.build_number or 0) + 1
    view = replace(
        before.workspace,
        transition=transition,
        build_number=number,
        job_status="pending",
        job_error=None,
        **{"next": None} | workspace,
    )
    state = State.CREATING if transition == "start" else State.IDLE
    after = replace(
        before,
        version=before.version + 1,
        state=state,
        entered_at=before.entered_at if before.state is state else told.entered_at,
        deadline_at=told.deadline_at if transition == "start" else None,
        waiting_for="provisioner" if transition == "start" else transition,
        workspace=view,
        build_id=told.build_id,
        agent_id=None,
        lifecycle=None,
        agent=None,
        first_agent=None,
        failure=None,
        cause=replace(told.cause, event=verb),
    )
    return Answer(
        before=before,
        reply=Reply("accepted", after, told.build_id),
        now=after,
        pushed=after,
        moves=[(before.state, after.state, verb)],
        jobs=[(transition, number, view.id)],
        changed=["builds", "chats", *(["workspaces"] if before.workspace.next != view.next else [])],
    )


async def refused(scene: Scene, verb: str, **fields: Any) -> Refusal:  # noqa: ANN401  # any field of the command
    """How a command is refused."""
    before = await scene.look(), await rows_of(scene)
    try:
        outcome = (await scene.ask(verb, **fields)).outcome
    except WorkspacedError as error:
        after = await scene.look(), await rows_of(scene)
        return error.status, error.code, error.field, str(error), after == before
    raise AssertionError(outcome)


async def told_to_stop(scene: Scene, job: Body) -> str:
    """The reason that the job's provisioner is given; each job has one."""
    return str((await scene.stack.provisioner.canceled(job))["reason"])
