"""`workspaced logs`: a build's log."""

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources

if TYPE_CHECKING:
    from workspaced.bus.chat_client import WorkspacedClient
    from workspaced.bus.follow_logs import LogFollow
    from workspaced.bus.messages import LogEntry


@click.command()
@options.where
@click.option("--build", metavar="UUID", help="The build.  [the chat's latest]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the build has ended.")
@options.as_json
@options.chat
def logs(*, chat: str | None, build: str | None, follow: bool, as_json: bool, **flags: str | None) -> None:
    """Show the log of a chat's latest build, or of any build. With --json each line is one of the log."""
    from workspaced.app.commands.session import open_client, run

    if build and chat:
        raise click.UsageError("give a chat or --build, not both")
    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            build_id, chat_id = (build.lower(), None) if build else await _latest(client, chat)
            if follow and build:
                chat_id = await _chat_of(client, build_id)
            # A build that is no chat's latest is over: there is nothing to wait for.
            if follow and chat_id is not None:
                await _follow(client, chat_id, build_id, as_json=as_json)
            else:
                await _print_kept(client, build_id, as_json=as_json)

    run(work())


async def _latest(client: "WorkspacedClient", chat: str | None) -> tuple[str, str | None]:
    """The latest build of the chat that is meant, and that chat."""
    from workspaced.app.commands.session import find_chat
    from workspaced.fsm.errors import NotFound

    snapshot = await client.get(await find_chat(client, chat))
    if snapshot.build_id is None:
        raise NotFound("this chat has no build; see `workspaced history`")
    return snapshot.build_id, snapshot.chat_id


async def _chat_of(client: "WorkspacedClient", build_id: str) -> str | None:
    """A chat whose latest build it is."""
    from workspaced.app.commands.session import all_chats

    having = [found.chat_id async for found in all_chats(client) if found.build_id == build_id]
    return having[0] if having else None


async def _print_kept(client: "WorkspacedClient", build_id: str, *, as_json: bool) -> None:
    after, more, ended = 0, True, False
    while more:
        page = await client.logs(build_id, after=after, limit=1000)
        for line in page.lines:
            _print(line, as_json=as_json)
            after = line.seq
        more, ended = page.has_more, page.ended
    if not as_json and not ended:
        print(f"{'no end' if after else 'nothing'} yet; --follow waits for it", file=sys.stderr)


async def _follow(client: "WorkspacedClient", chat_id: str, build_id: str, *, as_json: bool) -> None:
    async with client.follow_logs(build_id) as lines:
        watching = asyncio.create_task(_finish_with_build(client, chat_id, build_id, lines))
        try:
            async for line in lines:
                _print(line, as_json=as_json)
        finally:
            watching.cancel()
            await asyncio.wait([watching])  # it lets go of its subscription before the connection goes


async def _finish_with_build(client: "WorkspacedClient", chat_id: str, build_id: str, lines: "LogFollow") -> None:
    """A build that nobody took, or whose provisioner died, ends without a last line."""
    from workspaced.fsm.errors import WorkspacedError
    from workspaced.fsm.facts import IN_FLIGHT

    with suppress(WorkspacedError):  # whoever reads the log hears of it
        await client.wait_until(
            chat_id,
            lambda chat: (
                chat.build_id != build_id or chat.workspace is None or chat.workspace.job_status not in IN_FLIGHT
            ),
        )
    lines.finish()


def _print(line: "LogEntry", *, as_json: bool) -> None:
    from workspaced.app.harmless import coloured_line
    from workspaced.app.render import print_json

    if as_json:
        print_json(line)
    else:
        print(f"{line.at:%H:%M:%S.%f}"[:-3] + coloured_line(f"  {line.stage:<8}  {line.output}"), flush=True)
