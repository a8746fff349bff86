"""What waiting costs: an idle engine beside so many chats in every waiting state, and one that starts again."""

import asyncio
import time
from pathlib import Path

import asyncpg
from agents import connected_agent
from figures import Figures, Runs, number, say
from fleet import Fleet, a_template
from polling import statements
from sizes import Sizes
from stack import Stack
from usage import counted_statements, cpu_s, rss_mb

from workspaced.fsm.values import Connection

MORE = Path(__file__).with_name("waiting.sql")
FORGET = "delete from workspaced.marks"
"""Makes the next engine take NATS for new: it arms every deadline and queues every job again."""
SETTLE_S = 2.0


async def measure(stack: Stack, _fleet: Fleet, sizes: Sizes) -> Figures:
    """Each crowd in turn: start as after a lost NATS storage, kill, start again, then watch it do nothing."""
    template = await a_template(stack)
    found: Figures = {}
    async with connected_agent(stack) as link:
        there = 0
        for chats in sizes.waiting:
            await stack.stop_engines()
            await add(stack, chats - there, template.id, link)
            there = chats
            found |= {f"waiting.{name}_{chats}": value for name, value in (await beside(stack, sizes)).items()}
            say(f"  {chats} wait: " + told(found, chats))
    most = sizes.waiting[-1]
    every_minute = await statements(10) / 10
    return found | {
        "waiting.polling_queries_per_min_each": every_minute,
        "waiting.cpu_percent_100k": found[f"waiting.engine_percent_{most}"],
        "waiting.rss_mb_100k_minus_0": found[f"waiting.rss_mb_{most}"] - found["waiting.rss_mb_0"],
        "waiting.recover_s_100k": found[f"waiting.recover_s_{most}"].middle,
    }


async def add(stack: Stack, count: int, template: str, link: Connection) -> None:
    """So many more chats that wait, their agents on one connection."""
    connection = await asyncpg.connect(stack.dsn)
    await connection.execute(MORE.read_text(), count, template, *link)
    await connection.execute(FORGET)
    await connection.execute("vacuum analyze")
    await connection.close()


async def beside(stack: Stack, sizes: Sizes) -> dict[str, object]:
    """Starts, and doing nothing."""
    rearm = await started_in(stack)
    recover = []
    for _ in range(sizes.rounds):
        await stack.kill_engines()
        recover.append(await started_in(stack))
    return {"rearm_s": rearm, "recover_s": Runs.of(recover), **await idle(stack, sizes.waiting_s)}


async def started_in(stack: Stack) -> float:
    """Seconds until a new engine serves, Python's own start included."""
    began = time.perf_counter()
    await stack.start_engine()
    return time.perf_counter() - began


async def idle(stack: Stack, seconds: float) -> dict[str, float]:
    """What an engine and the servers use while nothing happens: percent of a core, MB, statements a minute."""
    await asyncio.sleep(SETTLE_S)
    pids = stack.pids()
    async with counted_statements(stack) as counted:
        before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        used = {f"{name}_percent": (cpu_s(pid) - before[name]) / took * 100 for name, pid in pids.items()}
    return used | {"rss_mb": rss_mb(pids["engine"]), "queries_per_min": counted.queries / took * 60}


def told(found: Figures, chats: int) -> str:
    """In words."""
    used = ((name, found[f"waiting.{name}_percent_{chats}"]) for name in ("engine", "postgres", "nats"))
    percent = ", ".join(f"{name} {value:.2f} %" for name, value in used)
    return (
        f"{percent}, {number(found[f'waiting.rss_mb_{chats}'])} MB, "
        f"{number(found[f'waiting.queries_per_min_{chats}'])} queries/min, "
        f"again there in {found[f'waiting.recover_s_{chats}']} s, "
        f"{number(found[f'waiting.rearm_s_{chats}'])} s when every deadline is armed anew"
    )
