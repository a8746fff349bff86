"""What people read: fields, states in colour, times and spans in words; and JSON for programs."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from workspaced.app.harmless import escaped, harmless, one_line
from workspaced.fsm.state import State

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Final = {
    State.IDLE: "dim",
    State.READY: "green",
    State.FAILED: "red",
}
"""The other states are on their way."""
ON_ITS_WAY: Final = "yellow"
SHORT_ID: Final = 8
NARROWEST: Final = 24
"""Columns for a text; a terminal with fewer has to wrap it itself."""


def print_json(document: object) -> None:
    """One document on one line, as it is on the wire."""
    sys.stdout.buffer.write(escaped(msgspec.json.encode(document).decode()).encode() + b"\n")
    sys.stdout.buffer.flush()


def say(text: str = "") -> None:
    """A line of plain text, at once; it may have texts of others in it."""
    print(one_line(text), flush=True)


def say_all(text: str) -> None:
    """The same of a text with any number of lines."""
    print(harmless(text), flush=True)


def title(text: str) -> None:
    """A line that begins something, apart from what was before."""
    import click

    say()
    click.secho(text, bold=True)


def console() -> "Console":
    """A console on stdout; colours only on a terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; those without a value are left out."""
    shown = [(name, one_line(str(value))) for name, value in fields if value not in {None, ""}]
    width = max((len(name) for name, _ in shown), default=0)
    out = console() if sys.stdout.isatty() else None
    for name, value in shown:
        if out is None:
            say(f"{name:<{width}}  {value}")
        else:
            out.print(f"[dim]{name:<{width}}[/dim]  ", end="")
            out.print(hung(value, width + 2), style=style_of(value) or None, markup=False)


def hung(text: str, indent: int) -> str:
    """`text` that begins in column `indent`: on a terminal wrapped to its width, all lines below the first."""
    if not sys.stdout.isatty():
        return text
    width = max(shutil.get_terminal_size().columns - indent, NARROWEST)
    return f"\n{' ' * indent}".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""])


def style_of(text: str) -> str:
    """The colour of a state; none for any other text."""
    return STYLES.get(State(text), ON_ITS_WAY) if text in set(State) else ""


def span_in_words(span: timedelta) -> str:
    """As exact as one wants to know it: `12 ms`, `3.4 s`, `2 m 05 s`, `3 h 20 m`, `2 d 4 h`."""
    seconds = max(span.total_seconds(), 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds:.1f} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    return f"{hours} h {minute:02} m" if hours else f"{minute} m {second:02} s"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago `at` was."""
    return "" if at is None else span_in_words(now - at)


def short(chat_id: str | None) -> str:
    """The beginning of an id, enough to name a chat on the command line."""
    return "" if chat_id is None else chat_id[:SHORT_ID]
