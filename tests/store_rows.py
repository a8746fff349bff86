"""Rows for tests of the store, and stores to put them in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from workspaced.fsm.chat import Cause, Chat, Failure
from workspaced.fsm.facts import Agent, Build, Workspace
from workspaced.fsm.rows import Changes, ChatWrite, InputRow, Needs, StaleRow, TransitionRow
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.template import Parameter, Template
from workspaced.store.migrations import migrate
from workspaced.store.port import Store
from workspaced.store.postgres import PostgresStore

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_id(number: int) -> str:
    """A UUID that sorts by `number`."""
    return str(UUID(int=number))


ORGANIZATION, OWNER, TEMPLATE, VERSION = an_id(1), an_id(2), an_id(3), an_id(4)
CAUSE = Cause("create", "message-1", NOW)
FAILURE = Failure(State.BUILDING, "build_failed", "out of disk", retryable=True)


def a_template(**changed: Any) -> Template:  # noqa: ANN401 - any field
    """A template with one parameter and a source whose bytes are not canonical JSON."""
    template = Template(
        TEMPLATE,
        ORGANIZATION,
        "docker",
        readme="# Docker",
        source=Raw(b'{"b": 1,  "a": [2, null]}'),
        parameters=(Parameter("cpus", "number", default="2"),),
    )
    return msgspec.structs.replace(template, **changed)


def a_workspace(number: int = 100, **changed: Any) -> Workspace:  # noqa: ANN401 - any field
    """A live workspace of the template."""
    workspace = Workspace(an_id(number), f"ws-{number}", OWNER, "bob", ORGANIZATION, TEMPLATE, NOW)
    return msgspec.structs.replace(workspace, **changed)


def a_build(number: int = 1, workspace: int = 100, **changed: Any) -> Build:  # noqa: ANN401 - any field
    """Build `number` of the workspace, requested and unfinished."""
    build = Build(
        id=an_id(workspace * 1000 + number),
        workspace_id=an_id(workspace),
        build_number=number,
        transition="start",
        job_id=an_id(workspace * 1000 + number + 500),
        requested_at=NOW,
        template_version_id=VERSION,
        parameters={"cpus": "4", "a": "é"},
    )
    return msgspec.structs.replace(build, **changed)


def an_agent(number: int = 900, workspace: int = 100, build: int = 1, **changed: Any) -> Agent:  # noqa: ANN401 - as above
    """An announced agent of the workspace's build."""
    agent = Agent(an_id(number), an_id(workspace), an_id(workspace * 1000 + build), NOW, announced=True, name="main")
    return msgspec.structs.replace(agent, **changed)


def a_chat(number: int = 200, workspace: int | None = 100, **changed: Any) -> Chat:  # noqa: ANN401 - any field
    """A chat at version 1, idle unless a state is given; a waiting one gets a deadline, a failed one a failure."""
    chat = Chat(
        an_id(number),
        OWNER,
        "bob",
        ORGANIZATION,
        version=1,
        entered_at=NOW,
        cause=CAUSE,
        workspace_id=None if workspace is None else an_id(workspace),
    )
    state = changed.get("state", State.IDLE)
    extra: dict[str, Any] = {}
    if state in WAITING:
        extra = {"deadline_at": NOW + timedelta(minutes=10), "deadline_version": 1, "deadline_ms": 600_000}
    if state is State.FAILED:
        extra = {"failure": FAILURE}
    return msgspec.structs.replace(chat, **(extra | changed))


def a_transition(chat: Chat, key: str = "EVENTS/1/1", **changed: Any) -> TransitionRow:  # noqa: ANN401 - any field
    """The step that brought `chat` to its version."""
    row = TransitionRow(
        chat_id=chat.id,
        version=chat.version,
        from_state=State.IDLE,
        to_state=chat.state,
        cause=CAUSE,
        at=NOW + timedelta(seconds=chat.version),
        input_id="message-1",
        input_key=key,
        snapshot=Raw(b'{"chat_id": "x",  "state": "idle"}'),
        workspace_id=chat.workspace_id,
        template_id=TEMPLATE,
        failure=chat.failure,
    )
    return msgspec.structs.replace(row, **changed)


def an_input(key: str = "EVENTS/1/1", **changed: Any) -> InputRow:  # noqa: ANN401 - any field
    """The stored answer to a command."""
    row = InputRow(key, NOW, chat_id=an_id(200), request_id="call-1", content="hash", outcome="accepted")
    return msgspec.structs.replace(row, **changed)


def a_stale_report(number: int = 1, workspace: int = 100) -> StaleRow:
    """A report that came too late."""
    return StaleRow(
        an_id(workspace), NOW + timedelta(seconds=number), f"m{number}", f"EVENTS/1/{number}", "ws.event", "older build"
    )


def new(*chats: Chat) -> list[ChatWrite]:
    """Chats to insert."""
    return [ChatWrite(chat, 0) for chat in chats]


def moved(chat: Chat, **changed: Any) -> ChatWrite:  # noqa: ANN401 - any field
    """The chat's next version."""
    return ChatWrite(msgspec.structs.replace(chat, version=chat.version + 1, **changed), chat.version)


async def put(store: Store, changes: Changes, needs: Needs | None = None) -> None:
    """Write the changes in a batch of their own."""
    async with store.batch(needs or Needs()) as batch:
        await batch.write(changes)


async def put_one(store: Store) -> None:
    """The template, one workspace with an unfinished build and an agent, and one chat that builds."""
    await store.put_template(a_template(), VERSION)
    chat = a_chat(state=State.BUILDING, build_id=a_build().id)
    await put(
        store,
        Changes(
            workspaces=[a_workspace()],
            builds=[a_build()],
            agents=[an_agent()],
            chats=new(chat),
            transitions=[a_transition(chat)],
            inputs=[an_input()],
        ),
    )


@asynccontextmanager
async def postgres_store(dsn: str, **options: Any) -> AsyncIterator[PostgresStore]:  # noqa: ANN401 - PostgresStore's
    """A store on a database that is migrated first."""
    await migrate(dsn)
    store = PostgresStore(dsn, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
