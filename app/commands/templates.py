"""`workspaced templates`: what workspaces are made from."""

import os
from pathlib import Path

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources


@click.group()
def templates() -> None:
    """Put, get, list and delete templates."""


organization = click.option("--organization", metavar="UUID", help="Whose templates.  [the stack's own]")
wanted = click.argument("wanted", metavar="NAME|UUID")


def _organization(sources: Sources, given: str | None) -> str:
    from workspaced.app.identity import load_identity

    return (given or sources.tenant or load_identity(sources.folder).organization_id).lower()


@templates.command("list")
@options.where
@organization
@click.option("--everywhere", is_flag=True, help="Of all organizations.")
@click.option("--query", help="Only those with this text in name or description.")
@options.as_json
def list_templates(
    *, organization: str | None, everywhere: bool, query: str | None, as_json: bool, **flags: str | None
) -> None:
    """List templates, hidden ones too."""
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.render import print_json
    from workspaced.app.tables import print_table
    from workspaced.app.template_names import all_templates

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            own = None if everywhere else _organization(sources, organization)
            found = await all_templates(client, own, query)
        if as_json:
            print_json({"templates": found})
            return
        rows = [
            (
                each.name,
                each.provisioner,
                ", ".join(parameter.name for parameter in each.parameters),
                ", ".join(preset.name for preset in each.presets),
                each.id,
                each.description,
            )
            for each in found
        ]
        columns = ("NAME", "PROVISIONER", "PARAMETERS", "PRESETS", "ID", "DESCRIPTION")
        print_table(columns, rows, "there are no templates; put one with `workspaced templates put`")

    run(work())


@templates.command("get")
@options.where
@organization
@click.option("--json", "as_json", is_flag=True, help="It always is JSON; this makes it one line.")
@wanted
def get_template(*, wanted: str, organization: str | None, as_json: bool, **flags: str | None) -> None:
    """Print a template as JSON; `put` takes it back."""
    import msgspec

    from workspaced.app.commands.session import open_client, run
    from workspaced.app.harmless import escaped
    from workspaced.app.render import print_json, say_all
    from workspaced.app.template_names import find_template

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources) as client:
            found = await find_template(client, _organization(sources, organization), wanted)
        if as_json:
            print_json(found)
        else:
            say_all(escaped(msgspec.json.format(msgspec.json.encode(found)).decode()))

    run(work())


@templates.command("put")
@options.where
@organization
@options.as_json
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
def put_templates(*, paths: tuple[Path, ...], organization: str | None, as_json: bool, **flags: str | None) -> None:
    """Store templates from files or folders, each as it is named; one of that name gets a new version.

    A file is JSON or TOML. A folder has template.toml or template.json, startup.sh, build.sh, README.md, any of them;
    or it holds such files and folders: then all of them are stored.
    """
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.harmless import one_line
    from workspaced.app.render import print_json, say
    from workspaced.app.template_files import read_templates
    from workspaced.app.template_names import with_known_ids

    sources = Sources(flags, os.environ)
    read = [template for path in paths for template in read_templates(path)]

    async def work() -> None:
        async with open_client(sources, "admin") as client:
            for template in read:
                template.setdefault("organization_id", _organization(sources, organization))
                reply = await client.put_template(await with_known_ids(client, template))
                if as_json:
                    print_json(reply)
                    continue
                say(f"{reply.template.name}  {reply.template.id}  version {reply.template.active_version_id}")
                for warning in reply.warnings:
                    click.echo(f"warning: {one_line(warning)}", err=True)

    run(work())


@templates.command("delete")
@options.where
@organization
@options.as_json
@wanted
def delete_template(*, wanted: str, organization: str | None, as_json: bool, **flags: str | None) -> None:
    """Delete a template that no live workspace is made from."""
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.render import print_json, say
    from workspaced.app.template_names import find_template

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources, "admin") as client:
            found = await find_template(client, _organization(sources, organization), wanted)
            await client.delete_template(found.id)
        if as_json:
            print_json({"deleted": True, "template_id": found.id})
        else:
            say(f"deleted {found.name}  {found.id}")

    run(work())
