"""Twenty thousand hostile messages through a real engine; `make hostile N=1000000` sends more."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_dies_grows_or_is_lost() -> None:
    """Each event is dead-lettered, each request answered; the engine is ready and no larger afterwards."""
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "chaos" / "hostile.py", "--count", "20000"],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'chaos'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout + done.stderr
