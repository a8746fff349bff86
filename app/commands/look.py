"""The commands that only look: ps, show, history."""

import os
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.fsm.state import State

if TYPE_CHECKING:
    from workspaced.bus.chat_client import WorkspacedClient
    from workspaced.bus.messages import ListRequest


@click.command()
@options.where
@click.option("-a", "--all", "everything", is_flag=True, help="Also chats without a live workspace.")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only chats in this state.")
@click.option("--owner-id", metavar="UUID", help="Only those of this owner.")
@click.option("--workspaces", is_flag=True, help="List workspaces instead of chats.")
@options.as_json
def ps(
    *,
    everything: bool,
    state: str | None,
    owner_id: str | None,
    workspaces: bool,
    as_json: bool,
    **flags: str | None,
) -> None:
    """List chats and where they stand."""
    from workspaced.app.commands.session import open_client, run
    from workspaced.bus.messages import ListRequest

    sources, query = Sources(flags, os.environ), ListRequest(state=State(state) if state else None, owner_id=owner_id)

    async def work() -> None:
        async with open_client(sources) as client:
            if workspaces:
                await _list_workspaces(client, query, as_json=as_json)
            else:
                await _list_chats(client, query, everything=everything, as_json=as_json)

    run(work())


async def _list_chats(client: "WorkspacedClient", query: "ListRequest", *, everything: bool, as_json: bool) -> None:
    from workspaced.app.clock import utc_now
    from workspaced.app.commands.session import all_chats, has_workspace
    from workspaced.app.render import ago, print_json, short
    from workspaced.app.story import note
    from workspaced.app.tables import print_table

    chats = [chat async for chat in all_chats(client, query) if everything or query.state or has_workspace(chat)]
    if as_json:
        print_json({"chats": chats})
        return
    now = utc_now()
    rows = [
        (
            short(chat.chat_id),
            chat.state,
            ago(chat.entered_at, now),
            f"{chat.workspace.owner_name}/{chat.workspace.name}" if chat.workspace else "",
            note(chat),
        )
        for chat in chats
    ]
    print_table(("CHAT", "STATE", "FOR", "WORKSPACE", ""), rows, "no chat has a workspace; try `workspaced create`")


async def _list_workspaces(client: "WorkspacedClient", query: "ListRequest", *, as_json: bool) -> None:
    from workspaced.app.commands.session import all_workspaces
    from workspaced.app.render import print_json, short
    from workspaced.app.tables import print_table

    found = [entry async for entry in all_workspaces(client, query)]
    if as_json:
        print_json({"workspaces": found})
        return
    rows = [
        (
            entry.id,
            f"{entry.owner_name}/{entry.name}",
            f"{entry.transition or 'no'} build {entry.build_number or ''}".strip(),
            entry.job_status,
            ", ".join(map(short, entry.chats)),
            entry.job_error,
        )
        for entry in found
    ]
    print_table(("WORKSPACE", "NAME", "LATEST BUILD", "JOB", "CHATS", ""), rows, "there are no workspaces")


@click.command()
@options.where
@options.as_json
@options.chat
def show(*, chat: str | None, as_json: bool, **flags: str | None) -> None:
    """Show one chat."""
    from workspaced.app.commands.session import find_chat, open_client, run
    from workspaced.app.render import print_fields, print_json
    from workspaced.app.show import fields_of

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            snapshot = await client.get(await find_chat(client, chat))
        if as_json:
            print_json(snapshot)
        else:
            print_fields(fields_of(snapshot, sources.folder))

    run(work())


@click.command()
@options.where
@click.option("--stale", is_flag=True, help="Also reports that came too late to change anything.")
@options.as_json
@options.chat
def history(*, chat: str | None, stale: bool, as_json: bool, **flags: str | None) -> None:
    """Show how a chat got where it stands."""
    from workspaced.app.commands.session import find_chat, open_client, run
    from workspaced.app.history import print_history, whole_history
    from workspaced.app.render import print_json

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            found = await whole_history(client, await find_chat(client, chat), stale=stale)
        if as_json:
            print_json(found)
        else:
            print_history(found)

    run(work())
