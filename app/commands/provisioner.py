"""`workspaced provisioner`: a local provisioner."""

import os

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.app.variables import PROVISIONER


@click.command()
@options.where
@click.option("--tag", default="local", show_default=True, help="Of the job queue it takes from.")
@click.option(
    "--end-agents", is_flag=True, help="End all agents with it; else they go on, and the next one adopts them."
)
@options.settings(PROVISIONER, options.only("agent_user", "tenants", "drain_limit", "log_level"))
def provisioner(*, tag: str, end_agents: bool, **flags: str | None) -> None:
    """Run a local provisioner until SIGTERM or SIGINT: a workspace is a folder and an agent process."""
    from workspaced.app.config import provisioner_config
    from workspaced.app.logs import log_to_stderr
    from workspaced.app.run_loop import run_service
    from workspaced.app.sole_provisioner import sole_provisioner
    from workspaced.bus.tokens import is_tag
    from workspaced.provisioners.local.program import run_provisioner

    if not is_tag(tag):
        raise click.UsageError("--tag takes lower-case letters, digits and hyphens")
    sources = Sources(flags, os.environ)
    config = provisioner_config(
        sources, tag=tag, login=sources.login("provisioner"), agent_login=sources.agent_login(), end_agents=end_agents
    )
    log_to_stderr(sources.text("log_level"))
    with sole_provisioner(config.root):
        run_service(run_provisioner(config))
