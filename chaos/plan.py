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
    "engine cut from nats": 5,
    "engine cut from postgres": 5,
    "callout cut from nats": 2,
    "provisioner cut from nats": 3,
    "agents cut from nats": 2,
}
"""With how often one is chosen, relative to the others."""

CUT: Final = " cut from "
LONGEST: Final = 4.0
LONGEST_CUT: Final = 40.0
"""Seconds. TCP mends what is short; a link that is cut for longer than 30 s is given up by both of its ends."""

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
        lasts = chance.uniform(0.3, LONGEST_CUT if CUT in kind else LONGEST)
        faults.append(Fault(at, kind, lasts, chance.randrange(1_000_000)))
