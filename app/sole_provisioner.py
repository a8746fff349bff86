"""One local provisioner at a time in a folder: two would both bring a dead agent back."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspaced.fsm.errors import Conflict


@contextmanager
def sole_provisioner(root: Path) -> Iterator[None]:
    """Hold `root`, which is made; the kernel lets go of it with our process. Raises Conflict when another has it."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"a provisioner already works in {root}: choose another folder with --workspaces", code="in_use"
            ) from None
        yield
