"""`workspaced logs`: a build's log."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources

if TYPE_CHECKING:
    from workspaced.bus.chat_client import WorkspacedClient


@click.command()
@options.where
@click.option("--build", metavar="UUID", help="The build.  [the chat's latest]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the log has ended.")
@options.as_json
@options.chat
def logs(*, chat: str | None, build: str | None, follow: bool, as_json: bool, **flags: str | None) -> None:
    """Show the log of a chat's latest build. With --json each line is one of the log."""
    from workspaced.app.commands.session import open_client, run

    if build and follow:
        raise click.UsageError("--follow goes with a chat, not with --build")
    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            if build:
                await _print_all(client, build, 0, as_json=as_json)
            else:
                await _print_of(client, chat, follow=follow, as_json=as_json)

    run(work())


async def _print_of(client: "WorkspacedClient", chat: str | None, *, follow: bool, as_json: bool) -> None:
    from workspaced.app.commands.session import find_chat
    from workspaced.bus import subjects
    from workspaced.fsm.errors import NotFound

    snapshot = await client.get(await find_chat(client, chat))
    if snapshot.workspace is None or snapshot.build_id is None:
        raise NotFound("this chat has no build; see `workspaced history`")
    if not follow:
        await _print_all(client, snapshot.build_id, 0, as_json=as_json)
        return
    # Subscribe first: a line that comes while the log is read only tells that there is more to read.
    news = asyncio.Event()

    async def came(_: object) -> None:
        news.set()

    subject = subjects.log(snapshot.workspace.id, snapshot.build_id)
    subscription = await client.connection.subscribe(subject, cb=came)
    try:
        after, ended = await _print_all(client, snapshot.build_id, 0, as_json=as_json)
        while not ended:
            await news.wait()
            news.clear()
            after, ended = await _print_all(client, snapshot.build_id, after, as_json=as_json)
    finally:
        await subscription.unsubscribe()


async def _print_all(client: "WorkspacedClient", build_id: str, after: int, *, as_json: bool) -> tuple[int, bool]:
    """Print what is above `after`; the last line's `seq`, and whether the log has ended."""
    from workspaced.app.render import print_json, say

    while True:
        page = await client.logs(build_id, after=after)
        for line in page.lines:
            if as_json:
                print_json(line)
            else:
                say(f"{line.at:%H:%M:%S.%f}"[:-3] + f"  {line.stage:<8}  {line.output}")
            after = line.seq
        if not page.has_more:
            break
    if not as_json and not page.ended and after == 0:
        print("nothing yet; --follow waits for it", file=sys.stderr)
    return after, page.ended
