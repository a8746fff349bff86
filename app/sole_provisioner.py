"""One local provisioner at a time in a folder: two would both bring a dead agent back."""

from contextlib import AbstractContextManager
from pathlib import Path

from workspaced.app.folder_lock import sole_holder
from workspaced.fsm.errors import Conflict


def sole_provisioner(root: Path) -> AbstractContextManager[None]:
    """Hold `root`, which is made. Raises Conflict when another one that lives has it."""
    busy = f"a provisioner already works in {root}: choose another folder with --workspaces"
    return sole_holder(root, Conflict(busy, code="in_use"))
