"""Floods through an engine process; `make flood` sends ten and twenty times as much."""

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def test_nothing_is_lost_and_others_are_served() -> None:
    """Ten thousand events, 500 creates at once from a template whose builds never end, and chats of another one."""
    done = subprocess.run(
        [sys.executable, "-P", BENCH / "flood.py", "--events", "10000", "--creates", "500"],
        env=os.environ | {"PYTHONPATH": str(BENCH)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout + done.stderr
