"""Opening files of ours in a folder where scripts may have put anything in their place.

A link would lead elsewhere, and to wait for the other end of a pipe would stop a provisioner for all its workspaces.
"""

import os
import stat
from pathlib import Path
from typing import Final

LONGEST: Final = 4_194_304
"""Bytes; nothing that we write there is longer."""


def open_own(path: Path, flags: int) -> int:
    """A file descriptor of the file itself, made for its owner alone if `flags` make it. Raises OSError."""
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path.name} is no file")
    return fd


def read_own(path: Path) -> bytes:
    """What it holds. Raises OSError, also when that is too much."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise OSError(f"{path.name} is too long")
    return content
