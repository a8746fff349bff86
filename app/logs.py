"""The log of a process: lines on stderr."""

import logging
from typing import Final

FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def log_to_stderr(level: str) -> None:
    """Log everything from `level` up; the libraries only what is wrong."""
    logging.basicConfig(level=logging.WARNING, format=FORMAT)
    logging.getLogger("workspaced").setLevel(level.upper())
    logging.getLogger("nats").setLevel(logging.ERROR)  # tells each attempt to reconnect; we log what follows from it
