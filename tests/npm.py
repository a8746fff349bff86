"""Packages of npm, for what runs in Node.js."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

LIMIT: Final = 110
"""Seconds that a slow registry may take; a test has 120."""
needs_node: Final = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="Node.js with npm is not installed"
)


def installed(source: Path, folder: Path) -> Path:
    """A copy of `source` as `folder`, with the packages of its lock file."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],  # noqa: S607  # wherever it is installed
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    return folder
