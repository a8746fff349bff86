"""The seed of a chaos run reproduces its faults."""

import runpy
from pathlib import Path
from typing import Any

PLAN: dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[2] / "chaos" / "plan.py"))


def test_a_seed_gives_the_same_faults() -> None:
    """Equal arguments, equal schedule; another seed, another one."""
    first, again, other = (PLAN["schedule"](seed, 600, 25) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_faults_are_many_and_of_every_kind() -> None:
    """Ten minutes hold at least 200 faults, and each kind is among them."""
    faults = PLAN["schedule"](1, 600, 25)

    assert len(faults) >= 200
    assert {fault.kind for fault in faults} == set(PLAN["KINDS"])
