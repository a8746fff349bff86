"""Texts of others, for terminals and logs: seen as they are, and doing nothing.

What would move a cursor, rename a window, erase or recolour what is there, begin a line that looks like one of ours, or
turn the direction of reading, is shown as U+FFFD.
"""

import re
from typing import Final

# Controls but tab and newline; marks, overrides and isolates of direction; line and paragraph separator.
_ACTIVE: Final = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
_ANY: Final = re.compile(_ACTIVE)
_BUT_COLOURS: Final = re.compile(rf"\x1b\[[0-9;]*m|{_ACTIVE}")
_RESET: Final = "\x1b[0m"


def harmless(text: str) -> str:
    """`text`, whose lines and tabs stay."""
    return _ANY.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """The same on one line, as a table and a log have it."""
    return harmless(text.replace("\r\n", "\n")).replace("\n", " ").replace("\t", " ")


def coloured_line(text: str) -> str:
    """A line of a build's log, whose colours stay, and end with it."""
    line = _BUT_COLOURS.sub(lambda found: found[0] if len(found[0]) > 1 else "\N{REPLACEMENT CHARACTER}", text)
    line = line.replace("\n", "\N{REPLACEMENT CHARACTER}")
    return line + _RESET if "\x1b" in line and not line.endswith(_RESET) else line


def escaped(json: str) -> str:
    """JSON that means the same, without what a terminal might act upon."""
    return _ANY.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
