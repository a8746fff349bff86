"""Rows like those that one event writes in the engine: an agent, a chat's step and its transition."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache

from msgspec import Raw

from workspaced.fsm.chat import Cause, Chat
from workspaced.fsm.rows import Changes, ChatWrite, TransitionRow
from workspaced.fsm.state import State

SNAPSHOT = Raw(b'{"filler": "' + b"x" * 950 + b'"}')
"""As long as a real one."""


@cache
def chat_id(slot: int) -> str:
    """One of many chats."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"floor {slot}"))


def a_change(numbers: Iterable[int], chats: int = 1_000_000_000) -> Changes:
    """The rows of so many events; event n makes the next version of chat n modulo `chats`."""
    changes, now = Changes(), datetime.now(UTC)
    for number in numbers:
        version, slot = number // chats + 1, number % chats
        key = chat_id(slot)
        cause = Cause("agent.lifecycle", f"event {number}", now)
        chat = Chat(key, key, "bench", key, version=version, entered_at=now, cause=cause)
        changes.chats.append(ChatWrite(chat, version - 1))
        changes.transitions.append(
            TransitionRow(
                chat_id=key,
                version=version,
                from_state=State.IDLE,
                to_state=State.IDLE,
                cause=cause,
                at=now,
                input_id=f"event {number}",
                input_key=f"FLOOR/0/{number}",
                snapshot=SNAPSHOT,
            )
        )
    return changes
