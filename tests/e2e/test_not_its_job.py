"""A provisioner's reports count for the jobs it holds: build, number and job id must be those of the job (issue 6)."""

import json
from itertools import product
from uuid import uuid4

from tests.e2e.provisioner import Body, an_agent
from tests.e2e.stack import Stack

TABLES = ("chats", "workspaces", "builds", "agents", "transitions")
STATUSES = ("running", "succeeded", "failed", "canceling", "canceled")


def claims(own: Body, other: Body) -> list[tuple[Body, str | None]]:
    """What who holds `own` may say of the other job without knowing its job id; reason of DEAD, None for stale."""
    ids = {name: own[name] for name in ("build_id", "build_number", "job_id")}
    return [
        (ids, "mismatch"),  # both are first builds
        (ids | {"build_number": 0}, "bad_body"),
        (ids | {"build_number": 2}, None),
        (ids | {"build_id": other["build_id"]}, "mismatch"),
        (ids | {"build_id": other["build_id"], "job_id": str(uuid4())}, "mismatch"),
        ({"build_id": other["build_id"], "build_number": 1}, "bad_body"),
        ({"build_id": other["build_id"], "build_number": 1, "job_id": None}, "bad_body"),
    ]


async def rows(stack: Stack) -> list[str]:
    """Everything that chats and workspaces come to."""
    queries = [f"select row_to_json(t)::text as row from workspaced.{table} t order by 1" for table in TABLES]  # noqa: S608  # our own names
    return [row["row"] for query in queries for row in await stack.sql(query)]


async def test_who_holds_another_job_moves_nothing(stack: Stack) -> None:
    """Each report goes to DEAD or is stale; then the holder reports, and its chat goes on."""
    await stack.engine()
    chats = [str(uuid4()), str(uuid4())]
    held, own = [await stack.provisioner.job((await stack.create(chat)).build_id) for chat in chats]
    workspace = held["workspace"]["id"]
    await stack.decided()
    before, expected = await rows(stack), []

    for status, (ids, reason) in product(STATUSES, claims(own, held)):
        body = ids | {"id": str(uuid4()), "attempt": 9, "error": "gone", "agents": [an_agent(str(uuid4()))]}
        subject = f"ws.event.{workspace}.job.{status}"
        await stack.provisioner.connection.jetstream().publish(subject, json.dumps(body).encode())
        if reason:
            expected.append((f"ws.dead.{subject}", reason))
    await stack.decided()

    dead = [(kept.subject, kept.headers["Ws-Dead-Reason"]) for kept in await stack.stored("DEAD")]
    assert sorted(dead) == sorted(expected)
    assert await rows(stack) == before
    await stack.provisioner.bring_up(held)
    push = await stack.pushes.until(chats[0], "ready")
    assert push["snapshot"]["build_id"] == held["build_id"]
