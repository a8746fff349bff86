"""The moments of a batch, in their order; `between_effects` is when some of them are out."""

from typing import Final

AT: Final = (
    "before_lock",
    "after_load",
    "after_write",
    "after_commit",
    "between_effects",
    "before_ack",
    "after_ack",
)
