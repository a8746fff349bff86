"""Tables for people: on a terminal they fit its width, elsewhere every row is one whole line."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from workspaced.app.harmless import one_line
from workspaced.app.render import console, say, style_of

GAP: Final = "  "
INDENT: Final = "    "
ROOMY: Final = 24
"""The least width in which a last column is wrapped in its place."""
NARROWEST: Final = 40
"""A terminal narrower than that gets lines that it has to wrap itself."""

Row = Sequence[str]


def print_table(columns: Row, rows: Sequence[Sequence[object]], empty: str) -> None:
    """Columns in line, on a terminal in colour and within its width; `empty` is said without rows."""
    texts = [["" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    if not texts:
        say(empty)
    elif sys.stdout.isatty():
        _print_coloured(list(lay_out(columns, texts, shutil.get_terminal_size().columns)))
    else:
        for line in aligned([columns, *texts]):
            say(line)


def aligned(rows: Sequence[Row]) -> list[str]:
    """Rows as lines whose columns stand under each other."""
    widths = _widths(rows)
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def lay_out(columns: Row, rows: Sequence[Row], width: int) -> Iterator[list[str]]:
    """Lines of cells, padded, the columns' names first; none is longer than `width`, which counts as 40 at least.

    The last column is wrapped in its place if there is room for that. Columns that find no place stand under their
    row, indented, each cell behind its column's name.
    """
    width = max(width, NARROWEST)
    widths = _widths([columns, *rows])
    beside = _how_many_fit(widths, width)
    room = width - sum(widths[:beside]) - beside * len(GAP)
    wraps = beside == len(widths) - 1 and room >= ROOMY
    yield _padded(columns[: beside + wraps], widths)
    for row in rows:
        line = _padded(row[:beside], widths)
        if wraps:
            first, *more = textwrap.wrap(row[-1], room) or [""]
            yield [*line, first]
            yield from ([" " * (width - room), each] for each in more)
        else:
            yield line
            yield from ([INDENT, each] for each in _under(columns[beside:], row[beside:], width - len(INDENT)))


def _how_many_fit(widths: Sequence[int], width: int) -> int:
    used = 0
    for number, each in enumerate(widths):
        if used + each > width:
            return number
        used += each + len(GAP)
    return len(widths)


def _under(columns: Row, row: Row, width: int) -> list[str]:
    cells = [f"{column} {cell}".strip() for column, cell in zip(columns, row, strict=True) if cell]
    together = GAP.join(cells)
    return [together] if 0 < len(together) <= width else [line for cell in cells for line in textwrap.wrap(cell, width)]


def _padded(row: Row, widths: Sequence[int]) -> list[str]:
    return [f"{cell:<{width}}{GAP}" for cell, width in zip(row, widths, strict=False)]


def _widths(rows: Sequence[Row]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _print_coloured(lines: Sequence[list[str]]) -> None:
    from rich.text import Text

    out = console()
    for number, line in enumerate(lines):
        cells = [(cell, "bold" if number == 0 else style_of(cell.strip())) for cell in line]
        text = Text.assemble(*cells)
        text.rstrip()
        out.print(text)
