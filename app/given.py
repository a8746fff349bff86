"""What flags and environment say: unknown names and bad values are refused by name, before anything starts."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from workspaced.app.variables import OF_WORKSPACES, PREFIX, VARIABLES, Value, Variable
from workspaced.fsm.errors import BadRequest

FILE: Final = "_FILE"
LIKE: Final = 0.8
"""From there on one name may be meant for another."""
SECRET: Final = frozenset(
    {"password", "agent_password", "agent_key", "callout_seed", "nkey", "nats_url", "database_url", "mcp_token"}
)
"""Never shown; a URL may hold a password."""
LONGEST: Final = 65_536
"""A value's file is not longer, whatever was named by mistake."""


class BadSetting(BadRequest):
    """A setting is unknown or has a bad value."""

    code = "invalid_setting"


def read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment gives, by the names of `VARIABLES`; empty counts as not set.

    Raises BadSetting for a name nobody knows.
    """
    by_variable = {each.variable: each for each in VARIABLES.values()}
    for variable in sorted(environ):
        ours = variable.startswith(PREFIX) and variable not in OF_WORKSPACES
        if ours and variable not in by_variable and variable.removesuffix(FILE) not in by_variable:
            raise BadSetting(f"unknown setting {variable}{_like(variable, by_variable)}")
    given = {}
    for variable, each in by_variable.items():
        if text := environ.get(variable):
            given[each.name] = text
        elif path := environ.get(variable + FILE):
            given[each.name] = _content(variable + FILE, Path(path))
    return given


def values(names: Iterable[str], flags: Mapping[str, str | None], given: Mapping[str, str]) -> dict[str, Value]:
    """The value of each of `names`: a flag's, else that of `given`, else the default. Raises BadSetting."""
    return {name: _value(VARIABLES[name], flags.get(name), given.get(name)) for name in names}


def _value(variable: Variable, flag: str | None, given: str | None) -> Value:
    text, where = (given, variable.variable) if flag is None else (flag, variable.flag)
    if text is None:
        return variable.default
    try:
        return variable.parse(text)
    except (ValueError, BadRequest) as error:
        shown = "" if variable.name in SECRET else f" {text!r}"
        raise BadSetting(f"{where}{shown}: {error}") from None


def _content(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST).decode().strip()
    except OSError as error:
        raise BadSetting(f"{variable}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSetting(f"{variable}: {path} holds no text") from None


def _like(variable: str, known: Iterable[str]) -> str:
    names = [name.removeprefix(PREFIX) for name in known]
    near = difflib.get_close_matches(variable.removeprefix(PREFIX).removesuffix(FILE), names, n=1, cutoff=LIKE)
    return f"; did you mean {PREFIX}{near[0]}?" if near else "; docs/settings.md lists them all"
