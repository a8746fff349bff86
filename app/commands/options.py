"""Options that several commands have. A flag of the settings table goes into `flags` under its name there."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import click

from workspaced.app.variables import VARIABLES, Variable

F = TypeVar("F", bound=Callable[..., object])


def settings(*groups: Iterable[Variable]) -> Callable[[F], F]:
    """A flag for each of the table's settings in `groups` that may have one."""

    def add(function: F) -> F:
        for variable in reversed([each for group in groups for each in group if each.has_flag]):
            shown = f"{variable.help}  [{variable.default_text}]" if variable.default_text else variable.help
            function = click.option(variable.flag, variable.name, metavar=_metavar(variable), help=shown)(function)
        return function

    return add


def only(*names: str) -> tuple[Variable, ...]:
    """Rows of the settings table by name."""
    return tuple(VARIABLES[name] for name in names)


where = settings(only("dir", "nats_url", "user"))
"""Where the stack is. A password comes from the environment or a file: others can read a command line."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as it is on the wire.")

parameters = click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A value of the template; repeatable."
)

waiting = click.option("--wait/--no-wait", default=True, help="Wait until it is done, and show how it goes.  [wait]")

request_id = click.option("--request-id", metavar="TEXT", help="Ask again under the same one to get the same answer.")

chat = click.argument("chat", required=False)
"""A chat: its id, the beginning of it or of its workspace's name; left out where only one has a workspace."""

tags = click.option(
    "--provisioner-tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Make the job queue of this provisioner; repeatable.  [local]",
)


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping. Raises UsageError for one that is none."""
    split = [text.partition("=") for text in texts]
    if odd := [name for name, sign, _ in split if not (name and sign)]:
        raise click.UsageError(f"{option} takes NAME=VALUE, not {odd[0]!r}")
    return {name: value for name, _, value in split}


def _metavar(variable: Variable) -> str:
    if variable.words:
        return "|".join(variable.words)
    if variable.name in {"dir", "workspaces"}:
        return "FOLDER"
    return {"str": "TEXT", "int": "N", "timedelta": "DURATION"}[type(variable.default).__name__]
