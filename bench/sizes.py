"""How much a run measures: in full for `docs/performance.md`, or quickly to see that all of it works."""

import os
from pathlib import Path
from typing import Final

from msgspec import Struct


class Sizes(Struct, frozen=True):
    """Of every scenario."""

    rounds: int
    """Runs of one figure; the median is told, with the least and the most."""
    chats: int
    seconds: float
    """Each latency run."""
    events: int
    """Each throughput run."""
    pollers: int
    polling_s: float
    dials: int
    alone: int
    """Chats provisioned one after another, to count what one costs."""
    together: int
    sharing: tuple[int, ...]
    """Chats on one workspace."""
    waiting: tuple[int, ...]
    """Chats that wait."""
    waiting_s: float
    """How long an idle engine is watched."""
    history: int
    """Transitions kept."""
    looks: int
    """Each of get, list and history, in each run."""
    workflows: int
    """Of the peer, in each run."""


FULL: Final = Sizes(
    rounds=3,
    chats=1_000,
    seconds=5,
    events=20_000,
    pollers=300,
    polling_s=20,
    dials=2_000,
    alone=30,
    together=500,
    sharing=(10, 100, 1_000, 10_000),
    waiting=(0, 1_000, 10_000, 100_000),
    waiting_s=20,
    history=10_000_000,
    looks=1_000,
    workflows=200,
)
QUICK: Final = Sizes(
    rounds=1,
    chats=256,
    seconds=2,
    events=4_000,
    pollers=100,
    polling_s=8,
    dials=300,
    alone=5,
    together=50,
    sharing=(10, 100),
    waiting=(0, 1_000),
    waiting_s=3,
    history=100_000,
    looks=100,
    workflows=50,
)


def chosen() -> Sizes:
    """Quick when `QUICK` is set."""
    return QUICK if os.environ.get("QUICK") else FULL


def only() -> set[str]:
    """The scenarios named in `ONLY`; empty means all."""
    return set(filter(None, os.environ.get("ONLY", "").split(",")))


def results_path() -> Path:
    """Where the results go: into the repository when they are those of a whole run."""
    root = Path(__file__).resolve().parent.parent
    return root / ("bench" if chosen() is FULL and not only() else "build/bench") / "results.json"
