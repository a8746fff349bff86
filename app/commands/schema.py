"""`workspaced schema`: the contract of the wire as AsyncAPI and JSON Schema."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--party",
    type=click.Choice(["engine", "chatd", "provisioner", "agent"]),
    default="engine",
    show_default=True,
    help="From whose end of the wire.",
)
@click.option("--message", metavar="NAME", help="Only the JSON Schema of one message's body, with all it refers to.")
@click.option(
    "--write",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write all documents and all schemas into a folder.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Say what breaks programs made for this older document of the engine; exit code 1 when something does.",
)
def schema(*, party: str, message: str | None, write: Path | None, check: Path | None) -> int:
    """Print the contract of the wire: an AsyncAPI 3 document made from the very structs that are sent."""
    from workspaced.app.contract import files
    from workspaced.app.contract.asyncapi import document

    if check is not None:
        return _check(check)
    if write is not None:
        for path in files.write(write):
            click.echo(path)
        return 0
    if message is not None:
        known = files.schemas()
        if message not in known:
            raise click.UsageError(f"no message is called {message!r}; they are: {', '.join(known)}")
        click.echo(files.text(known[message]), nl=False)
    else:
        click.echo(files.text(document(party)), nl=False)  # type: ignore[arg-type]  # one of click's choices
    return 0


def _check(path: Path) -> int:
    import msgspec

    from workspaced.app.contract.asyncapi import document
    from workspaced.app.contract.compare import breaks

    try:
        found = breaks(msgspec.json.decode(path.read_bytes()), document())
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise click.UsageError(f"{path} is no AsyncAPI document of workspaced") from None
    for each in found:
        click.echo(f"{each.where}: {each.what}")
    if not found:
        click.echo(f"nothing breaks programs made for {path}")
    return 1 if found else 0
