"""Programs of tests in network namespaces, where they may have some."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

CHAOS: Final = Path(__file__).parents[1] / "chaos"
BEGIN: Final = """
from network import Apart, move_apart, reachable

if refused := move_apart():
    raise SystemExit(f"refused: {refused}")
"""


def printed_apart(program: str, *arguments: str | Path) -> list[str]:
    """The lines that Python code prints in a namespace of its own, with `Apart` and `reachable` of chaos/network.py.

    Skips the test where there may be none.
    """
    path = os.pathsep.join(filter(None, (str(CHAOS), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(
        [sys.executable, "-P", "-c", BEGIN + program, *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.stderr.startswith("refused: "):
        pytest.skip(f"no network namespaces here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
