"""`workspaced version`."""

import click

from workspaced.app.commands import options


@click.command()
@options.as_json
def version(*, as_json: bool) -> None:
    """Print the version of workspaced, and of Python."""
    import platform
    from importlib import metadata

    from workspaced.app.render import print_json, say

    ours, python = metadata.version("workspaced"), platform.python_version()
    if as_json:
        print_json({"version": ours, "python": python})
    else:
        say(f"workspaced {ours} (Python {python})")
