"""Why a chat stops short, on real servers, row by row of domain.md 6.4: the exact failure, wherever it is seen.

Deadlines are real here: each row's template has a short one for the state that the row is about.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from tests.e2e.scene import Scene
from tests.e2e.stack import LIMIT, ORGANIZATION, Stack
from workspaced.fsm.events import AgentReport

SHORT = "70ms"
GRACE = timedelta(milliseconds=90)

Way = Callable[[Scene], Awaitable[None]]


def told(status: str, **fields: Any) -> Way:  # noqa: ANN401  # any field of a report
    """A report about the job while nobody has taken it."""

    async def way(scene: Scene) -> None:
        await scene.job(status, **fields)

    return way


def while_building(status: str, **fields: Any) -> Way:  # noqa: ANN401  # any field of a report
    """The same while a provisioner works on it."""

    async def way(scene: Scene) -> None:
        await scene.job("running")
        await scene.job(status, **fields)

    return way


def built(*agents: AgentReport) -> Way:
    """The job brings these agents."""

    async def way(scene: Scene) -> None:
        await scene.job("running")
        await scene.job("succeeded", agents=agents)

    return way


def an_agent(name: str, **fields: Any) -> AgentReport:  # noqa: ANN401  # any field
    """An agent as it is told."""
    return AgentReport(str(uuid4()), name, **fields)


async def nothing(_: Scene) -> None:
    """Nobody does anything."""


async def canceled(scene: Scene) -> None:
    """By the user, before anybody took it."""
    await scene.ask("cancel")


def canceled_while_building(status: str, **fields: Any) -> Way:  # noqa: ANN401  # any field of a report
    """By the user; then the provisioner's own end."""

    async def way(scene: Scene) -> None:
        await scene.job("running")
        await scene.look()
        await scene.ask("cancel")
        await scene.job(status, **fields)

    return way


async def connected(scene: Scene) -> None:
    """The agent is there, its scripts run."""
    await built(an_agent("main"))(scene)
    await scene.connected()


async def lost_while_starting(scene: Scene) -> None:
    """It goes, and does not come back."""
    await connected(scene)
    await scene.lost()


async def lost_while_ready(scene: Scene) -> None:
    """The same from ready."""
    await connected(scene)
    await scene.lifecycle("ready")
    await scene.lost()


def scripts_end(state: str) -> Way:
    """The agent's lifecycle comes to that."""

    async def way(scene: Scene) -> None:
        await connected(scene)
        await scene.lifecycle("starting")
        await scene.lifecycle(state)

    return way


async def limit(scene: Scene) -> None:
    """Nobody takes the job for half an hour."""
    await scene.limit()


async def limit_while_building(scene: Scene) -> None:
    """It runs for an hour."""
    await scene.job("running")
    await scene.limit()


class Row(NamedTuple):
    """How a chat comes to fail, what tells it so, and its failure."""

    way: Way
    cause: str
    phase: str
    code: str
    message: str
    retryable: bool
    short: str | None = None
    """The state with the short deadline."""
    quota: dict[str, int] | None = None
    tag: str = "local"


QUOTA = {"credits_consumed": 7, "budget": 5}
FULL = {"error": "quota is full", "error_code": "INSUFFICIENT_QUOTA"}
OVERDUE = "timed out waiting for workspace build: "
UNTAKEN = OVERDUE + 'no provisioner "{}" took the job within ' + SHORT
CANCELED = "build was canceled"
NOBODY = "no eligible workspace agents found"
SEVERAL = 'multiple agents match the chat suffix "-coderd-chat": {}; only one agent should use this suffix'
AWAY = "the workspace agent has been disconnected for 90ms"


def overdue(way: Way, phase: str, code: str, message: str, tag: str = "local") -> Row:
    """A deadline passes, and a retry may help."""
    return Row(way, "deadline", phase, code, message, retryable=True, short=phase, tag=tag)


def build_failed(way: Way, phase: str, message: str, cause: str = "job.failed", *, retryable: bool = True) -> Row:
    """The job ends in a failure."""
    return Row(way, cause, phase, "build_failed", message, retryable=retryable)


def no_quota(way: Way, phase: str, quota: dict[str, int] | None = None) -> Row:
    """The job fails for want of it."""
    return Row(way, "job.failed", phase, "insufficient_quota", FULL["error"], retryable=False, quota=quota)


def build_canceled(way: Way, phase: str, cause: str) -> Row:
    """The job ends in a cancel."""
    return Row(way, cause, phase, "build_canceled", CANCELED, retryable=True)


def not_bound(way: Way, code: str, message: str) -> Row:
    """The job's agents are no help."""
    return Row(way, "job.succeeded", "binding", code, message, retryable=False)


def agent_away(way: Way) -> Row:
    """The grace passes."""
    return Row(way, "deadline", "connecting", "agent_disconnected", AWAY, retryable=True)


def scripts_failed(end: str) -> Row:
    """The agent's lifecycle is past `starting`, but not `ready`."""
    message = f"startup scripts ended in {end}"
    return Row(scripts_end(end), "agent.lifecycle", "starting", "startup_failed", message, retryable=False)


ROWS = {
    "job_not_taken": overdue(nothing, "creating", "job_not_taken", UNTAKEN.format("local")),
    "job_not_taken, another tag": overdue(nothing, "creating", "job_not_taken", UNTAKEN.format("gpu-1"), "gpu-1"),
    "build_timeout": overdue(told("running"), "building", "build_timeout", f"{OVERDUE}still running after {SHORT}"),
    "build_failed in creating": build_failed(told("failed", error="no image"), "creating", "no image"),
    "build_failed": build_failed(while_building("failed", error="no image"), "building", "no image"),
    "build_failed without a text": build_failed(while_building("failed"), "building", "build failed"),
    "build_failed for good": build_failed(
        while_building("failed", error="bad", retryable=False), "building", "bad", retryable=False
    ),
    "build_failed, another error_code": build_failed(
        while_building("failed", error="bad", error_code="X"), "building", "bad"
    ),
    "build_failed, a long text": build_failed(while_building("failed", error="x" * 5000), "building", "x" * 4096),
    "build_failed after a cancel": build_failed(
        canceled_while_building("failed", error="killed"), "building", "killed"
    ),
    "build_failed, pending for too long": build_failed(
        limit, "creating", "Build has been detected as pending for 30 minutes", "limit"
    ),
    "build_failed, running for too long": build_failed(
        limit_while_building, "building", "Build has been detected as hung for 60 minutes", "limit"
    ),
    "insufficient_quota in creating": no_quota(told("failed", **FULL), "creating"),
    "insufficient_quota": no_quota(while_building("failed", **FULL, quota=QUOTA), "building", QUOTA),
    "build_canceled in creating": build_canceled(canceled, "creating", "cancel"),
    "build_canceled": build_canceled(canceled_while_building("canceled"), "building", "job.canceled"),
    "build_canceled, failed without a text": build_canceled(
        canceled_while_building("failed"), "building", "job.failed"
    ),
    "build_canceled by the provisioner": build_canceled(while_building("canceled"), "building", "job.canceled"),
    "no_agent": not_bound(built(), "no_agent", NOBODY),
    "no_agent but a child": not_bound(built(an_agent("main", parent_id=str(uuid4()))), "no_agent", NOBODY),
    "selection_error": not_bound(
        built(an_agent("B-coderd-chat"), an_agent("main"), an_agent("a-CODERD-chat")),
        "selection_error",
        SEVERAL.format("a-CODERD-chat, B-coderd-chat"),
    ),
    "agents_unknown": overdue(
        told("succeeded"), "binding", "agents_unknown", f"the build did not report its agents within {SHORT}"
    ),
    "agent_not_connected": overdue(
        built(an_agent("main")),
        "connecting",
        "agent_not_connected",
        f"the workspace agent did not connect within {SHORT}",
    ),
    "agent_disconnected from ready": agent_away(lost_while_ready),
    "agent_disconnected from starting": agent_away(lost_while_starting),
    "startup_failed, start_timeout": scripts_failed("start_timeout"),
    "startup_failed, start_error": scripts_failed("start_error"),
    "startup_failed, shutting_down": scripts_failed("shutting_down"),
    "startup_failed, shutdown_timeout": scripts_failed("shutdown_timeout"),
    "startup_failed, shutdown_error": scripts_failed("shutdown_error"),
    "startup_failed, off": scripts_failed("off"),
    "startup_timeout": overdue(
        connected, "starting", "startup_timeout", f"startup scripts did not finish within {SHORT}"
    ),
}


async def fail(stack: Stack, row: Row) -> Scene:
    """A scene whose chat has failed that way."""
    template = {
        "organization_id": ORGANIZATION,
        "name": f"t{uuid4().hex[:8]}",
        "provisioner": row.tag,
        "deadlines": {row.short: SHORT} if row.short else None,
    }
    stored = (await stack.client.put_template(template)).template
    scene = Scene(stack)
    await scene.ask("create", template_id=stored.id)
    await row.way(scene)
    await stack.pushes.until(scene.chat_id, "failed")
    await scene.look()
    return scene


async def said(stack: Stack, verb: str, **body: object) -> Any:  # noqa: ANN401  # any JSON
    """An answer as it stands on the wire."""
    return json.loads((await stack.admin.request(f"ws.api.{verb}", json.dumps(body).encode(), timeout=LIMIT)).data)


async def test_each_failure(stack: Stack, subtests: pytest.Subtests) -> None:
    """The same in the push, the snapshot, the history and the row; the chat waits for nothing any more."""
    await stack.engine(agent_inactive_grace=GRACE)
    scenes = await asyncio.gather(*(fail(stack, row) for row in ROWS.values()))
    for (name, row), scene in zip(ROWS.items(), scenes, strict=True):
        failure = {name: getattr(row, name) for name in ("phase", "code", "message", "retryable", "quota")}
        push = await stack.pushes.until(scene.chat_id, "failed")
        got = await said(stack, "get", chat_id=scene.chat_id)
        (entry,) = (await said(stack, "history", chat_id=scene.chat_id, after_version=push["version"] - 1))[
            "transitions"
        ]
        (kept,) = await stack.sql(
            "select state, failure::text, deadline_at, agent_id is not null from workspaced.chats where id = $1",
            scene.chat_id,
        )

        with subtests.test(name):
            assert (push["from"], push["to"], push["cause"]["event"]) == (row.phase, "failed", row.cause)
            assert push["snapshot"] | {"agent": None} == got | {"agent": None}  # how long ago a link was lost is of now
            assert got["failure"] == failure
            assert (got["state"], got["deadline_at"], got["waiting_for"]) == ("failed", None, None)
            assert {name: entry[name] for name in ("from", "to", "cause", "failure", "build_id", "agent_id")} == {
                "from": row.phase,
                "to": "failed",
                "cause": push["cause"],
                "failure": failure,
                "build_id": got["build_id"],
                "agent_id": got["agent_id"],
            }
            bound = row.phase in {"connecting", "starting"}
            assert ("failed", failure, None, bound) == (kept[0], json.loads(kept[1]), *kept[2:])
