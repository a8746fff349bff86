"""`workspaced up`: everything on this machine until it is told to end."""

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.app.variables import ENGINE, PROVISIONER, SETTINGS, STREAMS

if TYPE_CHECKING:
    from workspaced.app.stack import Stack


@click.command()
@options.settings(options.only("dir"))
@click.option("--no-provisioner", is_flag=True, help="Run no local provisioner; somebody else builds.")
@options.tags
@options.as_json
@options.settings(SETTINGS, ENGINE, PROVISIONER, STREAMS)
def up(*, no_provisioner: bool, tags: tuple[str, ...], as_json: bool, **flags: str | None) -> None:
    """Start everything on this machine: both servers, an engine, a provisioner.

    Data stay in the folder; other commands find the stack by its connection.json. Workspaces that run are ended with
    it, and come back with the next `up`. SIGTERM and Ctrl-C end it.
    """
    from workspaced.app.logs import log_to_stderr
    from workspaced.app.run_loop import run_service

    sources = Sources(flags, os.environ)
    log_to_stderr(sources.text("log_level") if sources.is_given("log_level") else "warning")
    run_service(_up(sources, tags, provisioner=not no_provisioner, as_json=as_json))


async def _up(sources: Sources, tags: tuple[str, ...], *, provisioner: bool, as_json: bool) -> None:
    from workspaced.app.stack import hold_stack
    from workspaced.provisioners.agent.program import stop_on_signals

    began = time.monotonic()

    def told(stack: "Stack") -> None:
        announce = _announce_as_json if as_json else _announce
        announce(stack, time.monotonic() - began)

    stopping = stop_on_signals()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stopping.set)  # the terminal was closed
    await hold_stack(sources, stopping, told, tags, provisioner=provisioner)


def _announce(stack: "Stack", took_s: float) -> None:
    from workspaced.app.connection import NAME
    from workspaced.app.render import print_fields, say

    connection = stack.connection
    say(f"workspaced is up, after {took_s:.1f} s")
    print_fields(
        [
            ("  folder", stack.folder),
            ("  NATS", f"{connection.nats_url}  (users and passwords in {NAME})"),
            ("  Postgres", connection.database_url),
            ("  HTTP", f"{connection.http_url}/readyz, /livez, /metrics"),
            ("  template", stack.template),
        ]
    )
    say("try `workspaced create` in another terminal; Ctrl-C ends it all")


def _announce_as_json(stack: "Stack", took_s: float) -> None:
    from workspaced.app.render import print_json

    connection = stack.connection
    print_json(
        {
            "dir": str(stack.folder),
            "nats_url": connection.nats_url,
            "database_url": connection.database_url,
            "http_url": connection.http_url,
            "pid": connection.pid,
            "template": stack.template,
            "seconds": round(took_s, 3),
        }
    )
