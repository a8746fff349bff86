"""A short chaos run, as `make chaos` makes them: servers and engines are killed under load, and nothing is amiss."""

import os
import re
import runpy
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

CHAOS: Final = Path(__file__).parents[2] / "chaos"
PLAN: Final[dict[str, Any]] = runpy.run_path(str(CHAOS / "plan.py"))
SECONDS: Final = 15
A_MINUTE: Final = 60
WANTED: Final = {"engine killed", "nats killed", "postgres killed", "messages doubled"}


def kinds(seed: int) -> set[str]:
    """What happens in a run of that seed."""
    return {fault.kind for fault in PLAN["schedule"](seed, SECONDS, A_MINUTE)}


def counted(printed: str, title: str) -> dict[str, int]:
    """One of the tables that a run prints."""
    _, _, rest = printed.partition(f"\n{title}\n")
    table, _, _ = rest.partition("\n\n")
    return {name: int(number) for number, name in re.findall(r"^ +(\d+)  (.+)$", table, re.MULTILINE)}


@pytest.mark.timeout(400)  # a run waits for rest, at most four minutes
def test_a_short_run() -> None:
    """Faults of the kinds that matter most were injected, chats moved, and the audit found nothing."""
    seed = next(seed for seed in count(1) if kinds(seed) >= WANTED)  # the same each time
    chosen = [f"--seed={seed}", f"--seconds={SECONDS}", f"--faults-a-minute={A_MINUTE}", "--chats=60", "--engines=2"]
    path = os.pathsep.join(filter(None, (str(CHAOS), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(
        [sys.executable, "-P", CHAOS / "run.py", *chosen],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    faults, rows = (counted(run.stdout, title) for title in ("faults injected", "rows"))

    assert run.returncode == 0, run.stdout + run.stderr
    assert "\n0 violations; " in run.stdout
    assert faults.keys() >= WANTED
    assert rows["transitions"] > 0
