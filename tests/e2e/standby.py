"""A Postgres and its standby: every commit is on both before anybody hears of it."""

import os
import pwd
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from workspaced.app.embedded_postgres import PROGRAMS, SOCKET, PostgresServer

SYNCHRONOUS = ("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()")


def sockets(server: PostgresServer) -> str:
    """The folder of its socket."""
    return parse_qs(urlsplit(server.dsn).query)["host"][0]


async def start_standby(primary: PostgresServer, folder: Path) -> PostgresServer:
    """One that follows `primary` from now on, with its data below `folder`; the caller stops it."""
    user = "pgserver" if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    subprocess.run(  # noqa: ASYNC221  # nothing else goes on
        [
            PROGRAMS / "pg_basebackup",
            "-h",
            sockets(primary),
            "-U",
            "postgres",
            "-D",
            folder / "postgres",
            "-R",
            "-cfast",
        ],
        check=True,
        capture_output=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
    )
    for lock in (folder / "postgres").glob(f"{SOCKET}*"):  # of the primary, whose sockets are among its data
        lock.unlink()
    standby = PostgresServer(folder)
    await standby.start()
    await _run(primary, *SYNCHRONOUS)
    return standby


async def promote(standby: PostgresServer) -> None:
    """Let it take writes; returns when it does."""
    await _run(standby, "select pg_promote()")


async def _run(server: PostgresServer, *statements: str) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
