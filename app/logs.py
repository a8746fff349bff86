"""The log of a process: lines on stderr, one a record; a traceback's are indented."""

import logging
from types import TracebackType
from typing import Final

from workspaced.app.harmless import harmless, one_line

FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Lines(logging.Formatter):
    """What others wrote can neither begin a line that looks like ours nor do anything to a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's name
        """One line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: _Raised) -> str:  # noqa: N802  # the library's name
        """Behind the line, four columns in."""
        return "    " + harmless(super().formatException(ei)).replace("\n", "\n    ")


def log_to_stderr(level: str) -> None:
    """Log everything from `level` up; the libraries only what is wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("workspaced").setLevel(level.upper())
    logging.getLogger("nats").setLevel(logging.ERROR)  # tells each attempt to reconnect; we log what follows from it
