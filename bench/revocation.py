"""How soon an agent is out: from the word that ends its build until its own end of the connection is closed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import asyncpg
from agents import Invited, come_in, invited
from figures import Figures, Times, say
from fleet import new_id
from sizes import Sizes
from stack import Stack, call

PATIENCE_S = 30
UNDER_WAY = (
    "select id::text, workspace_id::text, build_number, job_id::text from workspaced.builds where completed_at is null"
)

End = Callable[[Invited], Awaitable[object]]


async def measure(stack: Stack, sizes: Sizes) -> Figures:
    """Agents whose chat is deleted, and agents of whose workspace somebody else begins a newer build, one at a time.

    A callout runs.
    """
    each = sizes.dials // 10
    ways: dict[str, tuple[End, list[list[float]]]] = {
        "deleted": (lambda agent: call(stack.admin, "delete", {"chat_id": agent.id, "request_id": new_id()}), []),
        "rebuilt": (lambda agent: _begin_a_build(stack, agent), []),
    }
    for _ in range(sizes.rounds):
        for end, took in ways.values():
            agents = await invited(stack, each)
            for agent in agents:
                await _attach(stack, agent)
            took.append([await _seconds_until_out(stack, agent, end) for agent in agents])
            await _finish_builds(stack)
    found = {f"security.{way}": Times.of_seconds(took) for way, (_, took) in ways.items()}
    say("  out: " + "; ".join(f"{key.partition('.')[2]} {of}" for key, of in found.items()))
    return dict(found)


async def _seconds_until_out(stack: Stack, agent: Invited, end: End) -> float:
    closed = asyncio.Event()

    async def on_closed() -> None:
        closed.set()

    await come_in(stack, agent, on_closed)
    began = time.perf_counter()
    answered = asyncio.ensure_future(end(agent))
    async with asyncio.timeout(PATIENCE_S):
        await closed.wait()
        took = time.perf_counter() - began
        await answered
    return took


async def _attach(stack: Stack, agent: Invited) -> None:
    """A chat, with the agent's id for its own, on the agent's workspace."""
    owner = {"id": agent.owner, "name": "ada"}
    asked = {"chat_id": agent.id, "request_id": new_id(), "owner": owner, "organization_id": agent.owner}
    await call(stack.admin, "attach", asked | {"workspace_id": agent.workspace})


async def _begin_a_build(stack: Stack, agent: Invited) -> None:
    body = {"build_id": new_id(), "build_number": 2, "transition": "start", "job_id": new_id()}
    await stack.admin.publish(f"ws.event.{agent.workspace}.build.created", json.dumps(body).encode())


async def _finish_builds(stack: Stack) -> None:
    """Leave nothing under way to whatever is measured next."""
    database = await asyncpg.connect(stack.dsn)
    async with asyncio.timeout(PATIENCE_S):
        for row in await database.fetch(UNDER_WAY):
            body = {"build_id": row["id"], "build_number": row["build_number"], "job_id": row["job_id"]}
            subject = f"ws.event.{row['workspace_id']}.job.succeeded"
            await stack.admin.publish(subject, json.dumps(body | {"agents": []}).encode())
        while await database.fetch(UNDER_WAY):  # noqa: ASYNC110 - some have no chat, so nobody is told
            await asyncio.sleep(0.05)
    await database.close()
