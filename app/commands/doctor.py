"""`workspaced doctor`."""

import os
import sys
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options

if TYPE_CHECKING:
    from workspaced.app.doctor import Check


@click.command()
@options.where
@options.settings(options.only("database_url"))
@click.option("--tag", help="The provisioner that should be there.  [those that a job waits for, and a local stack's]")
@options.as_json
def doctor(*, tag: str | None, as_json: bool, **flags: str | None) -> int:
    """Check everything workspaced needs, and say what to do.

    Exit code 1 when something is amiss.
    """
    from workspaced.app.commands.session import run
    from workspaced.app.doctor import check_http, check_machine, check_stack, settings_are_good
    from workspaced.app.render import print_json
    from workspaced.app.sources import Sources

    found: list[Check] = []

    def tell(check: "Check") -> None:
        found.append(check)
        if not as_json:
            _print(check)

    async def ask_servers(sources: Sources) -> None:
        from workspaced.app.doctor_servers import check_servers

        async for check in check_servers(sources, tag):
            tell(check)

    for check in check_machine(os.environ):
        tell(check)
    if settings_are_good(os.environ):
        sources = Sources(flags, os.environ)
        tell(check_stack(sources))
        if found[-1].ok:
            run(ask_servers(sources))
            if sources.runs_locally:
                tell(check_http(sources))
    good = all(check.ok for check in found)
    if as_json:
        print_json({"ok": good, "checks": found})
    return 0 if good else 1


def _print(check: "Check") -> None:
    from workspaced.app.render import hung

    word, colour = ("ok  ", "green") if check.ok else ("fail", "red")
    click.echo(f"{click.style(word, fg=colour)}  {check.name:<12}  {hung(check.detail, 20)}")
    if check.next:
        click.echo(f"{'':20}-> {hung(check.next, 23)}")
    sys.stdout.flush()
