"""A short chaos run, as `make chaos` makes them: servers and engines are killed and cut off, and nothing is amiss."""

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
OVER: Final = 25
"""Seconds after which nothing is cut off any more."""
CUTS: Final = {"engine cut from nats", "engine cut from postgres"}
WANTED: Final = {"engine killed", "nats killed", "postgres killed", "messages doubled"} | CUTS


def serves(seed: int) -> bool:
    """All that is wanted happens in a run of that seed, and is over soon."""
    faults = PLAN["schedule"](seed, SECONDS, A_MINUTE)
    return {fault.kind for fault in faults} >= WANTED and all(fault.at + fault.lasts < OVER for fault in faults)


def counted(printed: str, title: str) -> dict[str, int]:
    """One of the tables that a run prints."""
    _, _, rest = printed.partition(f"\n{title}\n")
    table, _, _ = rest.partition("\n\n")
    return {name: int(number) for number, name in re.findall(r"^ +(\d+)  (.+)$", table, re.MULTILINE)}


@pytest.mark.timeout(400)  # a run waits for rest, at most four minutes
def test_a_short_run() -> None:
    """Faults of the kinds that matter most were injected, chats moved, and the audit found nothing.

    Where there may be no network namespaces, links are not cut, and it says so.
    """
    seed = next(seed for seed in count(1) if serves(seed))  # the same each time
    chosen = [f"--seed={seed}", f"--seconds={SECONDS}", f"--faults-a-minute={A_MINUTE}", "--chats=60", "--engines=2"]
    path = os.pathsep.join(filter(None, (str(CHAOS), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(
        [sys.executable, "-P", CHAOS / "run.py", *chosen],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    faults, left_out, rows = (counted(run.stdout, title) for title in ("faults injected", "faults left out", "rows"))
    possible = WANTED - CUTS if "no network namespaces here" in run.stdout else WANTED

    assert run.returncode == 0, run.stdout + run.stderr
    assert "\n0 violations; " in run.stdout
    assert faults.keys() >= possible
    assert left_out.keys() >= WANTED - possible
    assert rows["transitions"] > 0
