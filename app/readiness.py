"""What keeps an engine from its work, in stable words: `/readyz` tells them, `/metrics` has one figure for each."""

from typing import Final

from workspaced.store.errors import CAUSES

STORE: Final = "store_"

FAULTS: Final[dict[str, str]] = {
    "ending": "ending",
    "nats_away": "NATS is away",
    "not_taking": "no messages are taken: a stream or consumer is missing, or has no leader",
    "silent": "no messages are taken: the stream does not answer",
    "held_back": "NATS does not take what is to be said",
    "refused": "NATS does not take commands",
    "events_full": "EVENTS is full: reports and commands are refused",
    **{f"{STORE}{cause}": f"the store is away: {text}" for cause, text in CAUSES.items()},
}
"""Word of the metric's label, and what `/readyz` says."""


def told(faults: dict[str, str]) -> str:
    """One line: each fault of `faults` (word, what more is known or nothing)."""
    return "; ".join(f"{FAULTS[word]} ({more})" if more else FAULTS[word] for word, more in faults.items())
