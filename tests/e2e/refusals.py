"""How the API refuses, as it stands on the wire, and that nothing was made."""

import json
from typing import Any

from tests.e2e.stack import LIMIT, Stack

Body = dict[str, Any]
Refusal = tuple[int, Body]
"""Status and the error."""


async def refusal(stack: Stack, verb: str, body: Body | bytes) -> Refusal:
    """How a request is refused."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await stack.admin.request(f"ws.api.{verb}", sent, timeout=LIMIT)
    said: Body = json.loads(answer.data)
    assert answer.headers, said
    assert answer.headers["Nats-Service-Error"] == said["error"]
    return int(answer.headers["Nats-Service-Error-Code"]), said


async def made(stack: Stack) -> list[int]:
    """How many rows there are of what a create makes."""
    tables = ("chats", "workspaces", "builds", "transitions")
    return [(await stack.sql(f"select count(*) from workspaced.{table}"))[0][0] for table in tables]  # noqa: S608  # ours
