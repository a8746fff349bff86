"""Files only their owner reads, whole or not there at all."""

import os
from pathlib import Path
from typing import TypeVar

from workspaced.bus.codec import decode
from workspaced.fsm.errors import Unavailable

T = TypeVar("T")


def read_private(path: Path, kind: type[T]) -> T:
    """What `path` holds. Raises FileNotFoundError, and Unavailable with one line when it is of no use."""
    try:
        return decode(path.read_bytes(), kind)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} cannot be read ({error}); mend it, or move it away and start again") from None


def write_private(path: Path, content: bytes) -> None:
    """Write `path` with mode 0600 by rename: a reader sees the old content or the new, never a half.

    Missing folders are made, for the owner alone.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    # Born with its mode: a chmod afterwards would leave a moment in which others can read.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
