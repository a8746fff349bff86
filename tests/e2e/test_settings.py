"""The settings that change at run time, on real servers (domain.md 11 and 4.2, wire.md section 2)."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.builders import DEFAULT_SETTINGS
from tests.e2e.stack import LIMIT, Stack

KNOWN = ", ".join(DEFAULT_SETTINGS)


async def said(stack: Stack, verb: str, body: object) -> tuple[str | None, Any]:
    """Status of an error, and the body of the answer."""
    answer = await stack.admin.request(f"ws.api.{verb}", json.dumps(body).encode(), timeout=LIMIT)
    return (answer.headers or {}).get("Nats-Service-Error-Code"), json.loads(answer.data)


async def test_stored_and_read(stack: Stack) -> None:
    """Every name as text; a put merges, is normalized, and answers all there are; an engine's own are under it."""
    await stack.engine(binding_deadline=timedelta(seconds=7))
    own = DEFAULT_SETTINGS | {"binding_deadline": "7s"}

    found = [
        await said(stack, "settings.get", {}),
        await said(stack, "settings.put", {"settings": {"workspace_ttl": " 90m ", "creating_deadline": "300s"}}),
        await said(stack, "settings.put", {"settings": {"creating_deadline": "1.5h"}}),
        await said(stack, "settings.put", {"settings": {"workspace_ttl": "0", "agent_connection_timeout": "0s"}}),
        await said(stack, "settings.put", {"settings": {}}),
        await said(stack, "settings.get", {}),
    ]

    first = own | {"workspace_ttl": "1h30m", "creating_deadline": "5m"}
    second = first | {"creating_deadline": "1h30m"}
    third = second | {"workspace_ttl": "", "agent_connection_timeout": "0s"}
    assert found == [(None, {"settings": known}) for known in (own, first, second, third, third, third)]


REFUSED: dict[str, tuple[dict[str, object], str, str | None, list[tuple[str, str]]]] = {
    "negative": (
        {"workspace_ttl": "-1h"},
        "workspace_ttl: duration must be non-negative",
        "workspace_ttl",
        [("workspace_ttl", "duration must be non-negative")],
    ),
    "no duration": (
        {"workspace_ttl": "soon"},
        'workspace_ttl: invalid duration "soon": not a duration',
        "workspace_ttl",
        [("workspace_ttl", 'invalid duration "soon": not a duration')],
    ),
    "no unit": (
        {"workspace_ttl": "8"},
        'workspace_ttl: invalid duration "8": missing unit',
        "workspace_ttl",
        [("workspace_ttl", 'invalid duration "8": missing unit')],
    ),
    "no deadline": (
        {"creating_deadline": "0s"},
        "creating_deadline: must be longer than zero: a waiting state always has a deadline",
        "creating_deadline",
        [("creating_deadline", "must be longer than zero: a waiting state always has a deadline")],
    ),
    "unknown": (
        {"tool_wait": "1m"},
        f'tool_wait: unknown setting "tool_wait"; known are {KNOWN}',
        "tool_wait",
        [("tool_wait", f'unknown setting "tool_wait"; known are {KNOWN}')],
    ),
    "one of several": (
        {"building_deadline": "3m", "workspace_ttl": "-1s", "binding_deadline": ""},
        "workspace_ttl: duration must be non-negative",
        "workspace_ttl",
        [
            ("workspace_ttl", "duration must be non-negative"),
            ("binding_deadline", 'invalid duration "": not a duration'),
        ],
    ),
}


async def test_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    """400, every fault by its name, and nothing of the request is stored."""
    await stack.engine()
    for name, (settings, error, field, faults) in REFUSED.items():
        with subtests.test(name):
            assert await said(stack, "settings.put", {"settings": settings}) == (
                "400",
                {
                    "code": "invalid_setting",
                    "error": error,
                    "field": field,
                    "validations": [{"field": of, "detail": detail} for of, detail in faults],
                },
            )

    assert await said(stack, "settings.get", {}) == (None, {"settings": DEFAULT_SETTINGS})
    assert await stack.sql("select from workspaced.settings") == []


async def test_in_force_on_every_engine(stack: Stack) -> None:
    """For states entered after the reply; a deadline that is set stays, and a template's own comes first."""
    await stack.engine()
    await stack.engine()
    before, after = str(uuid4()), str(uuid4())
    job = await stack.provisioner.job((await stack.create(before)).build_id)

    await stack.client.put_settings({"creating_deadline": "1h", "building_deadline": "2h"})
    set_before = await span(stack, before)
    await stack.provisioner.tell(job, "running")
    await stack.pushes.until(before, "building")
    await stack.create(after)

    assert set_before == timedelta(minutes=10)
    assert await span(stack, before) == timedelta(hours=2)
    assert await span(stack, after) == timedelta(hours=1)


async def span(stack: Stack, chat_id: str) -> timedelta:
    """How long the chat waits in its state."""
    snapshot = await stack.client.get(chat_id)
    assert snapshot.deadline_at
    return snapshot.deadline_at - snapshot.entered_at


async def test_a_row_that_nobody_can_use_stops_nobody(stack: Stack) -> None:
    """Written by hand, or by a newer release: the others count, and chats go on."""
    await stack.sql(
        "insert into workspaced.settings (name, text) values ('creating_deadline', '3m'), "
        "('building_deadline', 'never'), ('nap_deadline', '1m'), ('workspace_ttl', '-8h')"
    )
    await stack.engine(building_deadline=timedelta(minutes=4), workspace_ttl=timedelta(hours=1))
    chat = str(uuid4())

    reply = await stack.create(chat)
    job = await stack.provisioner.job(reply.build_id)

    assert (reply.outcome, await span(stack, chat)) == ("accepted", timedelta(minutes=3))
    assert job["workspace"]["ttl_ms"] is None
    assert await said(stack, "settings.get", {}) == (
        None,
        {"settings": DEFAULT_SETTINGS | {"creating_deadline": "3m", "building_deadline": "4m"}},
    )
    assert await stack.stored("DEAD") == []
