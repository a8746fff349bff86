"""`workspaced demo`."""

import os
import tempfile
from contextlib import nullcontext

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources


@click.command()
@click.option("--dir", "folder", metavar="FOLDER", help="Keep its data there.  [a temporary folder]")
@options.settings(options.only("log_level"))
def demo(*, folder: str | None, **flags: str | None) -> None:
    """Show one chat from nothing to ready and back, both servers included.

    Create, ask again, stop, start, kill the agent, delete, history, and a measurement. Leaves nothing behind.
    """
    from workspaced.app.demo import run_demo
    from workspaced.app.logs import log_to_stderr
    from workspaced.app.run_loop import run_service

    temporary = tempfile.TemporaryDirectory(prefix="workspaced-demo-") if folder is None else nullcontext(folder)
    with temporary as name:
        sources = Sources(flags | {"dir": name}, os.environ)
        log_to_stderr(sources.text("log_level") if sources.is_given("log_level") else "error")
        run_service(run_demo(sources))
