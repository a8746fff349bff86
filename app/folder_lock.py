"""A folder held by one process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspaced.fsm.errors import WorkspacedError


@contextmanager
def sole_holder(folder: Path, refusal: WorkspacedError) -> Iterator[None]:
    """Hold `folder`, which is made; the kernel lets go of it with our process. Raises `refusal` if another has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refusal from None
        yield
