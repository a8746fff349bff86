"""`workspaced dead`: messages that nobody could use."""

import os

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources


@click.group()
def dead() -> None:
    """List messages that nobody could use."""


@dead.command("list")
@options.where
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="SEQ", help="Only those after this one.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@options.as_json
def list_dead(*, after: int, limit: int, as_json: bool, **flags: str | None) -> None:
    """List them with the reason, oldest first."""
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.render import print_json, print_table, say

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources, "inspector") as client:
            page = await client.dead(after=after, limit=limit)
        if as_json:
            print_json(page)
            return
        rows = [
            (each.seq, f"{each.at:%Y-%m-%d %H:%M:%S}", each.reason, each.detail, each.subject, each.body)
            for each in page.messages
        ]
        print_table(("SEQ", "AT", "REASON", "DETAIL", "SUBJECT", "BODY"), rows, "nothing was put aside")
        if page.has_more:
            say(f"there are more: --after {page.messages[-1].seq}")

    run(work())
