"""Which fault happens when: a schedule that the seed alone decides."""

import random
from dataclasses import dataclass
from typing import Final

KINDS: Final = {
    "engine killed": 10,
    "engine stopped for a while": 5,
    "callout killed": 3,
    "provisioner killed": 6,
    "provisioner stopped for a while": 3,
    "agents killed": 6,
    "agents stopped for a while": 3,
    "nats killed": 2,
    "nats restarted": 2,
    "postgres killed": 2,
    "postgres restarted": 2,
    "messages doubled": 6,
    "messages delayed": 6,
    "connection kicked": 4,
}
"""With how often one is chosen, relative to the others."""

FIRST: Final = 2.0
"""Seconds without a fault at the beginning."""


@dataclass(frozen=True)
class Fault:
    """One fault: when, in seconds from the start, what, for how long, and to which of those there are."""

    at: float
    kind: str
    lasts: float
    target: int


def schedule(seed: int, seconds: float, a_minute: float) -> list[Fault]:
    """The faults of a run, in order; the same for the same arguments."""
    chance = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    faults, at = [], FIRST
    while True:
        at += chance.expovariate(a_minute / 60)
        if at >= seconds:
            return faults
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        faults.append(Fault(at, kind, chance.uniform(0.3, 4.0), chance.randrange(1_000_000)))
