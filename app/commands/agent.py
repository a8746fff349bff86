"""`workspaced agent`: the process inside a workspace."""

import os
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Its configuration, JSON, as a provisioner writes it.  [WORKSPACED_AGENT_CONFIG]",
)
def agent(*, config: Path | None) -> int:
    """Run the agent of a workspace until SIGTERM or SIGINT: it calls home, runs the startup script, answers pings.

    Provisioners start it; by hand it serves to look at one.
    """
    from workspaced.provisioners.agent.config import CONFIG_VARIABLE
    from workspaced.provisioners.agent.program import main

    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config)
    elif not os.environ.get(CONFIG_VARIABLE):
        raise click.UsageError(f"give --config or set {CONFIG_VARIABLE}")
    return main()
