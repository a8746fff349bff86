"""`workspaced callout`: lets agents in."""

import os

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.app.variables import CALLOUT


@click.command()
@options.where
@options.settings(options.only("database_url"), CALLOUT, options.only("log_level"))
def callout(**flags: str | None) -> None:
    """Let agents in to NATS until SIGTERM or SIGINT; several share the work, and while none runs no new agent gets in.

    The NATS server asks it, as nats.conf says. It connects as user callout and reads Postgres.
    """
    from workspaced.app.callout import CalloutConfig, running_callout
    from workspaced.app.config import callout_config
    from workspaced.app.logs import log_to_stderr
    from workspaced.app.run_loop import run_service

    sources = Sources(flags, os.environ)
    config = callout_config(sources)
    log_to_stderr(sources.text("log_level"))

    async def work(config: CalloutConfig) -> None:
        from workspaced.provisioners.agent.program import stop_on_signals

        async with running_callout(config):
            await stop_on_signals().wait()

    run_service(work(config))
