"""Builders of what the bus's tests say and hear."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from workspaced.bus.stored import Stored
from workspaced.fsm.chat import Cause
from workspaced.fsm.commands import Owner
from workspaced.fsm.effects import Effect
from workspaced.fsm.rows import TransitionRow
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

NOW = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)


def an_id(number: int) -> str:
    """A UUID that tells which one it is."""
    return str(UUID(int=number))


CHAT, WORKSPACE, BUILD, JOB, AGENT, ORGANIZATION = map(an_id, range(1, 7))
OWNER = Owner(an_id(7), "ada")


def a_snapshot(version: int = 1, state: State = State.IDLE, chat_id: str = CHAT) -> Snapshot:
    """A chat without a workspace at that version."""
    return Snapshot(
        chat_id=chat_id,
        version=version,
        state=state,
        entered_at=NOW,
        deadline_at=None,
        waiting_for=None,
        workspace=None,
        build_id=None,
        agent_id=None,
        lifecycle=None,
        agent=None,
        failure=None,
        cause=Cause("create", "m1", NOW),
    )


def a_row(
    version: int = 1, state: State = State.IDLE, chat_id: str = CHAT, effects: tuple[Effect, ...] = ()
) -> TransitionRow:
    """The transition that led to `a_snapshot`."""
    return TransitionRow(
        chat_id=chat_id,
        version=version,
        from_state=State.IDLE,
        to_state=state,
        cause=Cause("create", "m1", NOW),
        at=NOW,
        input_id="m1",
        input_key="EVENTS/e/1",
        snapshot=Raw(msgspec.json.encode(a_snapshot(version, state, chat_id))),
        effects=effects,
    )


def a_stored(subject: str, body: dict[str, Any] | bytes = b"{}", **fields: Any) -> Stored:  # noqa: ANN401  # as Stored
    """A delivery from EVENTS, sequence 5, stored at NOW."""
    known: dict[str, Any] = {"headers": {}, "stream": "EVENTS", "sequence": 5, "at": NOW} | fields
    return Stored(subject=subject, body=body if isinstance(body, bytes) else msgspec.json.encode(body), **known)


def a_create(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON, also a wrong one
    """The body of a create."""
    return {
        "chat_id": CHAT,
        "request_id": "r1",
        "owner": {"id": OWNER.id, "name": OWNER.name},
        "organization_id": ORGANIZATION,
        "template_id": an_id(8),
    } | fields


def a_job_report(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON, also a wrong one
    """The body of `job.<status>`."""
    return {"build_id": BUILD, "build_number": 1, "job_id": JOB} | fields
