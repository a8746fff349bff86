"""Numbers with their spread: one figure over several runs, and times within each run."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Self

from msgspec import Struct

Figures = dict[str, object]
"""What a scenario found, by key of `results.json`."""


class Runs(Struct, frozen=True):
    """One figure over several runs: the median run, the least and the most."""

    middle: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of one value per run."""
        return cls(median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        return f"{number(self.middle)} ({number(self.least)} to {number(self.most)})"


class Times(Struct, frozen=True):
    """Percentiles in ms over several runs."""

    p50: Runs
    p99: Runs
    count: int
    """Times measured in each run."""

    @classmethod
    def of_seconds(cls, runs: Sequence[list[float]]) -> Self:
        """One sample of times in seconds per run."""
        ordered = [sorted(value * 1000 for value in run) for run in runs]
        middles = [median(run) for run in ordered]
        tails = [run[round((len(run) - 1) * 0.99)] for run in ordered]
        return cls(Runs.of(middles), Runs.of(tails), min(map(len, runs)))

    def __str__(self) -> str:
        return f"p50 {self.p50} ms, p99 {self.p99} ms"


def counts(found: Mapping[str, object], prefix: str, suffix: str = "") -> list[int]:
    """The numbers between `prefix` and `suffix` in keys, in order: what a figure was measured for.

    Raises KeyError when there are none.
    """
    ends = (key.removeprefix(prefix).removesuffix(suffix) for key in found if key.startswith(prefix))
    if not (numbers := {int(end) for end in ends if end.isdigit()}):
        raise KeyError(prefix)
    return sorted(numbers)


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:  # noqa: PLR2004 - three digits before the point
        return f"{value:,.0f}"
    return f"{value:.3g}"


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)
