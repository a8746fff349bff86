"""What processes and servers use: processor time, memory, statements, bytes written, messages."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
from msgspec import Struct
from stack import Stack

_STATEMENT = re.compile(r"^workspaced\|LOG:  (?:execute [^:]*|statement): (\w*)", re.MULTILINE)  # ours open with --
RELOAD_S = 0.5
_AROUND = frozenset({"BEGIN", "COMMIT", "ROLLBACK"})


def cpu_s(pid: int) -> float:
    """Processor seconds of a process, its children and those of them that have ended."""
    family = [psutil.Process(pid)]
    family += family[0].children(recursive=True)
    total = 0.0
    for process in family:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_mb(pid: int) -> float:
    """Memory in MB."""
    rss: int = psutil.Process(pid).memory_info().rss
    return rss / 1e6


@dataclass
class Statements:
    """What the engines said to Postgres."""

    queries: int = 0
    around: int = 0
    """BEGIN and COMMIT."""


@asynccontextmanager
async def counted_statements(stack: Stack) -> AsyncIterator[Statements]:
    """Counts the engines' statements in the server's log."""
    counted, log = Statements(), stack.folder / "logs" / "postgres.log"
    connection = await asyncpg.connect(stack.dsn)
    await _configure(connection, "log_line_prefix = '%a|'", "log_statement = 'all'")
    began = log.stat().st_size
    try:
        yield counted
    finally:
        text = await asyncio.to_thread(_read_from, log, began)
        for word in _STATEMENT.findall(text):
            if word.upper() in _AROUND:
                counted.around += 1
            else:
                counted.queries += 1
        await _configure(connection, "log_statement = 'none'")
        await connection.close()


async def _configure(connection: "asyncpg.Connection[asyncpg.Record]", *settings: str) -> None:
    """For all sessions; each looks before its next statement, once the server told it, and nobody says when it did."""
    for setting in settings:
        await connection.execute(f"alter system set {setting}")
    await connection.execute("select pg_reload_conf()")
    await asyncio.sleep(RELOAD_S)


def _read_from(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


class Flow(Struct, frozen=True):
    """Counters that only grow."""

    wal_bytes: int
    messages: int
    """That clients sent to NATS, of every kind: events, answers, acknowledgements, requests for more."""
    stored: int
    """Messages that streams took."""
    stored_bytes: int

    def __sub__(self, before: "Flow") -> "Flow":
        return Flow(*(getattr(self, name) - getattr(before, name) for name in self.__struct_fields__))


async def flow(stack: Stack) -> Flow:
    """As they stand."""
    connection = await asyncpg.connect(stack.dsn)
    wal = await connection.fetchval("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
    await connection.close()
    statz = await _asked(stack, "$SYS.REQ.ACCOUNT.PING.STATZ")
    listed = await _asked(stack, "$JS.API.STREAM.LIST")
    states = [stream["state"] for stream in listed["streams"]]
    (account,) = statz["data"]["account_statz"]
    return Flow(
        wal_bytes=wal,
        messages=account["received"]["msgs"],
        stored=sum(state["last_seq"] for state in states),
        stored_bytes=sum(state["bytes"] for state in states),
    )


async def _asked(stack: Stack, subject: str) -> dict:  # type: ignore[type-arg]  # JSON
    return json.loads((await stack.admin.request(subject, b"{}", timeout=10)).data)
