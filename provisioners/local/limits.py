"""Limits of the system on what an agent and its scripts may use (setrlimit), as `nofile=1024,nproc=200`."""

import resource
from collections.abc import Mapping
from typing import Final

from workspaced.provisioners.processes import Process

KINDS: Final = {
    name.removeprefix("RLIMIT_").lower(): int(getattr(resource, name))
    for name in dir(resource)
    if name.startswith("RLIMIT_")
}
"""By the names of setrlimit(2): `as` and `fsize` in bytes, `cpu` in seconds, `nofile`, `nproc` and `core` as counts."""

Limits = Mapping[str, int]


def parse_limits(text: str) -> dict[str, int]:
    """The limits that `text` gives; none when it is empty. Raises ValueError with the reason."""
    limits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, number = part.partition("=")
        if not sign or name not in KINDS:
            raise ValueError(f"{part!r} is no limit; known are {', '.join(sorted(KINDS))}")
        if not (number.isascii() and number.isdigit()):
            raise ValueError(f"{part!r}: a whole number is expected")
        limits[name] = int(number)
    return limits


def limit(process: Process, limits: Limits) -> None:
    """Set both limits of a process that has just been started; what it starts inherits them, and only root lifts them.

    A limit that is lower already stays. Raises OSError.
    """
    for name, most in limits.items():
        _, hard = resource.prlimit(process.pid, KINDS[name])
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.prlimit(process.pid, KINDS[name], (least, least))
