"""`workspaced serve`: one engine."""

import os

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.app.variables import ENGINE, SETTINGS


@click.command()
@options.where
@options.settings(options.only("database_url"), SETTINGS, ENGINE)
def serve(**flags: str | None) -> None:
    """Run an engine until SIGTERM or SIGINT; any number of them share the work.

    Needs what `workspaced migrate` makes. On its HTTP port: /livez, /readyz, /metrics.
    """
    from workspaced.app.config import ServeConfig, serve_config
    from workspaced.app.logs import log_to_stderr
    from workspaced.app.run_loop import run_service

    sources = Sources(flags, os.environ)
    config = serve_config(sources)
    log_to_stderr(sources.text("log_level"))

    async def work(config: ServeConfig) -> None:
        from workspaced.app.serve import serve as serve_until
        from workspaced.provisioners.agent.program import stop_on_signals

        await serve_until(config, stop_on_signals())

    run_service(work(config))
