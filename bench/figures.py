"""Numbers with their spread, and how they are printed."""

from statistics import median
from typing import Self

from msgspec import Struct


class Spread(Struct, frozen=True):
    """A sample of times in ms."""

    count: int
    p50: float
    p99: float
    least: float
    most: float

    @classmethod
    def of_seconds(cls, sample: list[float]) -> Self:
        """The spread of times in seconds."""
        ordered = sorted(value * 1000 for value in sample)
        last = len(ordered) - 1
        return cls(len(ordered), median(ordered), ordered[round(last * 0.99)], ordered[0], ordered[-1])

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms ({self.least:.2f} to {self.most:.2f}, n={self.count})"


class Runs(Struct, frozen=True):
    """One figure over several runs."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median run."""
        return median(self.values)

    def __str__(self) -> str:
        return f"{self.middle:,.0f} ({min(self.values):,.0f} to {max(self.values):,.0f})"
