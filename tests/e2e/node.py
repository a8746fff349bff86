"""The examples for Node.js, with their packages."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.command_line import SAFETY_NET

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
needs_node: Final = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="Node.js with npm is not installed"
)


@pytest.fixture(scope="session")
def node() -> Iterator[Path]:
    """Their folder; the packages are those of the lock file."""
    with TemporaryDirectory(prefix="workspaced-node-") as name:
        folder = Path(name, "node")
        shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],  # noqa: S607  # wherever it is installed
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=SAFETY_NET,
        )
        assert done.returncode == 0, done.stderr
        yield folder
