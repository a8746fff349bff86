"""The examples for Node.js, with their packages."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from tests.npm import installed

EXAMPLES: Final = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def node() -> Iterator[Path]:
    """Their folder; the packages are those of the lock file."""
    with TemporaryDirectory(prefix="workspaced-node-") as name:
        yield installed(EXAMPLES / "node", Path(name, "node"))
