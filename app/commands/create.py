"""The commands that give a chat a workspace: create, attach. Ids that are left out are the person's own, or fresh."""

import os
from functools import wraps
from typing import Any
from uuid import uuid4

import click
from msgspec import Struct

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.fsm.commands import Owner


class _Given(Struct, frozen=True):
    """Who asks, as far as the command line says."""

    owner_id: str | None
    owner_name: str | None
    organization: str | None

    def over(self, sources: Sources) -> tuple[Owner, str]:
        """Owner and organization: what was given, over what the stack's folder keeps."""
        from workspaced.app.identity import load_identity

        known = load_identity(sources.folder)
        owner = Owner((self.owner_id or known.owner.id).lower(), self.owner_name or known.owner.name)
        return owner, (self.organization or sources.tenant or known.organization_id).lower()


def _who(function: Any) -> Any:  # noqa: ANN401  # a decorator, as click types them
    """Three options that `function` gets as one: `who`."""

    @wraps(function)
    def called(*, owner_id: str | None, owner_name: str | None, organization: str | None, **others: object) -> int:
        code: int = function(who=_Given(owner_id, owner_name, organization), **others)
        return code

    for option, shown in (
        ("--organization", "The chat's organization.  [the stack's own]"),
        ("--owner-name", "The owner's name.  [yours]"),
        ("--owner-id", "The owner's id.  [the stack's own]"),
    ):
        metavar = "NAME" if option == "--owner-name" else "UUID"
        called = click.option(option, metavar=metavar, help=shown)(called)
    return called


@click.command()
@options.where
@click.option("--template", metavar="NAME|UUID", help="What to make it from.  [the only one there is]")
@click.option("--chat", metavar="UUID", help="The chat.  [a fresh one]")
@click.option("--name", help="Name of the workspace.  [made from the template's]")
@options.parameters
@click.option("--preset", metavar="NAME|UUID", help="A preset of the template.")
@click.option("--parent-chat", metavar="UUID", help="The chat that this one is a child of.")
@_who
@options.request_id
@options.waiting
@options.as_json
def create(  # noqa: PLR0913  # flags
    *,
    template: str | None,
    chat: str | None,
    name: str | None,
    parameters: tuple[str, ...],
    preset: str | None,
    parent_chat: str | None,
    wait: bool,
    as_json: bool,
    request_id: str | None,
    who: _Given,
    **flags: str | None,
) -> int:
    """Give a chat a workspace, or tell which one it has.

    Ask again for the same chat, and you get the same workspace.
    """
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.commands.waiting import Asked, ask
    from workspaced.app.template_names import find_template, preset_id

    sources, chat_id = Sources(flags, os.environ), (chat or str(uuid4())).lower()
    owner, organization_id = who.over(sources)
    values = options.pairs(parameters, "--parameter") or None

    async def work() -> int:
        async with open_client(sources) as client:
            chosen = await find_template(client, organization_id, template)

            def send(fresh: str) -> Any:  # noqa: ANN401  # an awaitable reply
                return client.create(
                    chat_id,
                    owner=owner,
                    organization_id=organization_id,
                    template_id=chosen.id,
                    name=name,
                    parameters=values,
                    preset_id=preset_id(chosen, preset),
                    parent_chat_id=parent_chat,
                    request_id=fresh,
                )

            return await ask(client, Asked("create", chat_id, send, request_id), wait=wait, as_json=as_json)

    return run(work())


@click.command()
@options.where
@click.option("--chat", metavar="UUID", help="The chat.  [a fresh one]")
@click.option("--workspace", metavar="NAME|UUID", help="The workspace to bind it to.")
@click.option("--from-chat", metavar="CHAT", help="The chat whose workspace it gets.")
@_who
@options.request_id
@options.waiting
@options.as_json
def attach(
    *,
    chat: str | None,
    workspace: str | None,
    from_chat: str | None,
    wait: bool,
    as_json: bool,
    request_id: str | None,
    who: _Given,
    **flags: str | None,
) -> int:
    """Bind a chat to a workspace that exists, or to another chat's."""
    from workspaced.app.commands.session import find_chat, find_workspace, open_client, run
    from workspaced.app.commands.waiting import Asked, ask

    if (workspace is None) == (from_chat is None):
        raise click.UsageError("give one of --workspace and --from-chat")
    sources, chat_id = Sources(flags, os.environ), (chat or str(uuid4())).lower()
    owner, organization_id = who.over(sources)

    async def work() -> int:
        async with open_client(sources) as client:
            workspace_id = await find_workspace(client, workspace) if workspace else None
            from_chat_id = await find_chat(client, from_chat) if from_chat else None

            def send(fresh: str) -> Any:  # noqa: ANN401  # an awaitable reply
                return client.attach(
                    chat_id,
                    owner=owner,
                    organization_id=organization_id,
                    workspace_id=workspace_id,
                    from_chat_id=from_chat_id,
                    request_id=fresh,
                )

            return await ask(client, Asked("attach", chat_id, send, request_id), wait=wait, as_json=as_json)

    return run(work())
