"""`workspaced settings`: what changes at run time, on every engine at once."""

import os

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources


@click.group()
def settings() -> None:
    """Get and put the settings that change at run time."""


@settings.command("get")
@options.where
@options.as_json
def get_settings(*, as_json: bool, **flags: str | None) -> None:
    """Print every setting that is in force."""
    from workspaced.app.commands.session import open_client, run

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            _print(await client.settings(), as_json=as_json)

    run(work())


@settings.command("put")
@options.where
@options.as_json
@click.argument("changes", metavar="NAME=VALUE...", nargs=-1, required=True)
def put_settings(*, changes: tuple[str, ...], as_json: bool, **flags: str | None) -> None:
    """Change settings, all or none; they count for states entered from now on."""
    from workspaced.app.commands.session import open_client, run

    sources, given = Sources(flags, os.environ), options.pairs(changes, "settings put")

    async def work() -> None:
        async with open_client(sources, "admin") as client:
            _print(await client.put_settings(given), as_json=as_json)

    run(work())


def _print(known: dict[str, str], *, as_json: bool) -> None:
    from workspaced.app.render import print_json
    from workspaced.app.tables import print_table

    if as_json:
        print_json({"settings": known})
    else:
        print_table(("SETTING", "VALUE"), [(name, text or "none") for name, text in known.items()], "there are none")
