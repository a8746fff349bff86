"""`workspaced watch`: a chat, or all of them, as they move."""

import os
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.fsm.state import State

if TYPE_CHECKING:
    from workspaced.bus.chat_client import WorkspacedClient


@click.command()
@options.where
@click.option("-a", "--all", "everything", is_flag=True, help="All chats.")
@click.option(
    "--until", type=click.Choice([state.value for state in State]), multiple=True, help="End in this state; repeatable."
)
@options.as_json
@options.chat
def watch(*, chat: str | None, everything: bool, until: tuple[str, ...], as_json: bool, **flags: str | None) -> None:
    """Watch a chat, or all of them, as it moves.

    On a terminal a last line tells state, elapsed time, time left and what is typical. With --json each line is a
    snapshot, or with --all a push. Ctrl-C ends it.
    """
    from workspaced.app.commands.session import find_chat, open_client, run

    if everything and (chat or until):
        raise click.UsageError("--all goes without a chat and without --until")
    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            if everything:
                await _watch_all(client, as_json=as_json)
            else:
                await _watch_one(client, await find_chat(client, chat), until, as_json=as_json)

    run(work())


async def _watch_one(client: "WorkspacedClient", chat_id: str, until: tuple[str, ...], *, as_json: bool) -> None:
    from workspaced.app.clock import utc_now
    from workspaced.app.progress import Progress
    from workspaced.app.render import print_json, say
    from workspaced.app.story import status_line

    async with client.watch(chat_id) as snapshots:
        if not as_json:
            say(f"chat {chat_id}")
        first = None if as_json else await anext(snapshots)
        if first is not None:
            say(f"  {status_line(first, utc_now())}")
            if first.state in until:
                return
        with Progress(first, indent="  ", live=not as_json) as progress:
            async for snapshot in snapshots:
                print_json(snapshot) if as_json else progress.saw(snapshot)
                if snapshot.state in until:
                    return


async def _watch_all(client: "WorkspacedClient", *, as_json: bool) -> None:
    from datetime import timedelta

    from workspaced.app.clock import utc_now
    from workspaced.app.render import print_json, say, short
    from workspaced.app.story import move_line

    began = utc_now()
    async with client.watch_all() as pushes:
        async for push in pushes:
            if as_json:
                print_json(push)
            else:
                since = max(push.at - began, timedelta(0))
                say(f"{short(push.chat_id)}  {move_line(push.from_state, push.snapshot, since, None)}")
