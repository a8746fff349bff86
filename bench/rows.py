"""The rows that one event writes (an agent, a chat, a transition), taken from real chats and written again."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import Agent
from workspaced.fsm.rows import Changes, ChatWrite, Needs, TransitionRow
from workspaced.store.postgres import PostgresStore
from workspaced.store.rowset import rows_from


class Step(Struct, frozen=True):
    """What one event wrote."""

    chat: Chat
    agent: Agent
    transition: TransitionRow


class Rows:
    """Writes the two steps of a chat that flips, for many chats in turn, each time one version on."""

    def __init__(self, steps: Sequence[Step], chats: Sequence[Chat], *, facts: bool) -> None:
        """`chats` are as they stand; with `facts` the agents' rows are written too."""
        self._steps, self._chats, self._facts = steps, chats, facts
        self._written = 0

    def change(self, names: Iterable[str]) -> Changes:
        """The rows of as many events."""
        changes, now = Changes(), datetime.now(UTC)
        for name in names:
            round_, slot = divmod(self._written, len(self._chats))
            self._written += 1
            step, is_ = self._steps[round_ % len(self._steps)], self._chats[slot]
            version = is_.version + round_ + 1
            cause = replace(step.transition.cause, id=name, at=now)
            bound = {"workspace_id": is_.workspace_id, "build_id": is_.build_id, "agent_id": is_.agent_id}
            chat = replace(step.chat, id=is_.id, owner_id=is_.owner_id, version=version, cause=cause, **bound)
            changes.chats.append(ChatWrite(chat, version - 1))
            changes.transitions.append(
                replace(
                    step.transition,
                    chat_id=is_.id,
                    version=version,
                    cause=cause,
                    at=now,
                    input_id=name,
                    input_key=f"FLOOR/1/{name}",
                    **bound,
                )
            )
            if self._facts:
                agent = replace(
                    step.agent, id=is_.agent_id, workspace_id=is_.workspace_id, build_id=is_.build_id, lifecycle_at=now
                )
                changes.agents.append(agent)
        return changes


async def step_of(dsn: str, chat_id: str) -> Step:
    """The last step of a chat."""
    store = PostgresStore(dsn, pool_size=1)
    await store.open()
    loaded = await store.read(Needs(chats=(chat_id,)))
    await store.close()
    (chat,) = loaded.chats
    (agent,) = (agent for agent in loaded.agents if agent.id == chat.agent_id)
    connection = await asyncpg.connect(dsn)
    text = await connection.fetchval(
        "select json_agg(row_to_json(t)) from workspaced.transitions as t where chat_id = $1 and version = $2",
        chat.id,
        chat.version,
    )
    await connection.close()
    (transition,) = rows_from(text, list[TransitionRow])
    return Step(chat, agent, transition)


async def chats_of(dsn: str, ids: Sequence[str]) -> list[Chat]:
    """Chats as they stand, by id."""
    connection = await asyncpg.connect(dsn)
    text = await connection.fetchval(
        "select json_agg(row_to_json(c) order by c.id) from workspaced.chats as c where id = any ($1::uuid[])", ids
    )
    await connection.close()
    return rows_from(text, list[Chat])
