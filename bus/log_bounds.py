"""How much of a build's log is kept: a line, and all lines of one attempt at its job."""

from collections import deque
from typing import Final

from workspaced.bus.messages import LogLine

LINE_LENGTH: Final = 4096
"""Characters of a line that are kept."""

LOG_LINES: Final = 20_000
LOG_LENGTH: Final = 4_194_304
"""Lines, and characters of them, that are kept from the beginning of a log."""

LAST_LINES: Final = 200
"""Lines that a log which was cut has besides, from its end: there stands what went wrong."""

LOG_MESSAGES: Final = 100_000
"""Messages that the stream keeps of one build, whoever sends them: more than three attempts within these bounds."""


def cut(line: str) -> str:
    """`line` as it is kept: bounded, without NUL (readers refuse it) and without what is no text in UTF-8."""
    line = line.replace("\x00", "\ufffd")
    if not line.isascii():
        line = line.encode("utf-8", "replace").decode()
    if len(line) <= LINE_LENGTH:
        return line
    return f"{line[:LINE_LENGTH]}… ({len(line) - LINE_LENGTH} more characters)"


class LogBounds:
    """Counts what was sent of one attempt's log and keeps the last lines of what is too much."""

    def __init__(self, lines: int = LOG_LINES, length: int = LOG_LENGTH, last: int = LAST_LINES) -> None:
        self._lines, self._length = lines, length
        self._last: deque[LogLine] = deque(maxlen=last)
        self._beyond = 0

    @property
    def reached(self) -> bool:
        """Whether the log is cut."""
        return self._beyond > 0

    def take(self, line: LogLine) -> bool:
        """Whether `line` still fits; if not, it is one of the last lines until newer ones come."""
        if self._beyond or self._lines < 1 or self._length < len(line.output):
            self._beyond += 1
            self._last.append(line)
            return False
        self._lines -= 1
        self._length -= len(line.output)
        return True

    def end(self) -> tuple[int, list[LogLine]]:
        """How many lines are left out, and the last ones, which are not."""
        last = list(self._last)
        self._last.clear()
        return self._beyond - len(last), last
