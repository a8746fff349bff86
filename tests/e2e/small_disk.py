"""A disk that is soon full."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(megabytes: int, owner: str = "") -> Iterator[Path]:
    """A folder on a disk of its own, `owner`'s if we are root; the test is skipped where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="workspaced-"))
    folder.chmod(0o755)
    disk = folder / "disk"
    disk.mkdir()
    if not _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "workspaced-tests", disk):
        shutil.rmtree(folder)
        pytest.skip("a full disk needs a mount, and this machine lets us make none")
    try:
        if owner and os.geteuid() == 0:
            shutil.chown(disk, owner)
        yield disk
    finally:
        _run("umount", disk)
        shutil.rmtree(folder, ignore_errors=True)


def fill(path: Path) -> None:
    """Leave no room on its disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def _run(*words: str | Path) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0  # our own words
    except FileNotFoundError:
        return False
