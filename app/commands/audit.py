"""`workspaced audit`: what must hold of Postgres and NATS together."""

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources

if TYPE_CHECKING:
    from workspaced.app.audit import Violation


@click.command()
@options.where
@options.settings(options.only("database_url"))
@options.as_json
def audit(*, as_json: bool, **flags: str | None) -> int:
    """Check what must always hold: nothing lost, nothing doubled, nothing left behind.

    It reads rows and streams, changes nothing, and may run while everything works. It needs the role admin.
    Exit code 1 when something does not hold.
    """
    from workspaced.app.audit import INVARIANTS
    from workspaced.app.audit import audit as find
    from workspaced.app.commands.session import run
    from workspaced.app.config import settings_of
    from workspaced.app.render import print_json
    from workspaced.bus.connection import open_connection

    sources = Sources(flags, os.environ)
    login, dsn = sources.login("admin"), sources.database_url()
    defaults = settings_of(sources)
    ticker, left_out = Ticker(), list[LeftOut]()

    async def work() -> "list[Violation]":
        admin = await open_connection(login.url, **login.options())
        try:
            return await find(
                dsn, admin, tell=ticker.tell, left_out=lambda *one: left_out.append(LeftOut(*one)), defaults=defaults
            )
        finally:
            ticker.clear()
            await admin.close()

    found = run(work())
    if as_json:
        document = {"ok": not found, "invariants": INVARIANTS, "violations": found}
        print_json(document | {"left_out": [one._asdict() for one in left_out]})
    else:
        _print(found, left_out)
    return 1 if found else 0


class LeftOut(NamedTuple):
    """What the replay could not play: why, and how many parts of how many, 0 when they were not counted."""

    reason: str
    parts: int
    of: int


class Ticker:
    """A line on stderr that tells how far it is; nothing where nobody looks."""

    def __init__(self) -> None:
        self._shows = sys.stderr.isatty()

    def tell(self, what: str, done: int, total: int) -> None:
        """`done` of `total`."""
        if self._shows:
            click.echo(f"\r\x1b[K{what}: {done:,} of {total:,}", nl=False, err=True)

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shows:
            click.echo("\r\x1b[K", nl=False, err=True)


def _print(found: "list[Violation]", left_out: list[LeftOut]) -> None:
    from workspaced.app.audit import INVARIANTS
    from workspaced.app.render import say
    from workspaced.app.tables import print_table

    broken = {one.invariant for one in found}
    for name, text in INVARIANTS.items():
        word, colour = ("fail", "red") if name in broken else ("ok  ", "green")
        click.echo(f"{click.style(word, fg=colour)}  {name:<24}  {text}")
    for one in left_out:
        much = f"{one.parts:,} of {one.of:,} parts" if one.of else "all"
        click.echo(f"not replayed: {much}; {one.reason}")
    if not found:
        return
    say()
    rows = [(one.invariant, " ".join(f"{key}={value}" for key, value in one.ids.items()), one.detail) for one in found]
    print_table(("INVARIANT", "WHERE", "WHAT"), rows, "")
