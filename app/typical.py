"""What is typical: how long each state took for a template lately (domain.md section 1, the snapshot's `typical`)."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from workspaced.fsm.rows import TransitionRow
from workspaced.fsm.snapshot import Typical
from workspaced.fsm.state import State
from workspaced.store.port import SAMPLES, Store

FEWEST: Final = 5
"""Below so many passes nothing is typical."""


class TypicalTimes:
    """The last passes per (template, state), read once at start and fed by what this engine commits."""

    def __init__(self) -> None:
        self._passes: dict[tuple[str, State], deque[int]] = {}
        self._known: dict[tuple[str, State], Typical | None] = {}

    async def load(self, store: Store) -> None:
        """Read the last passes from the store."""
        for template_id, state, newest_first in await store.typical_samples():
            self._passes[template_id, state] = deque(reversed(newest_first), maxlen=SAMPLES)
        self._known.clear()

    def of(self, template_id: str, state: State) -> Typical | None:
        """Median and 95th percentile; None below five passes."""
        key = (template_id, state)
        if key not in self._known:
            self._known[key] = _percentiles(self._passes.get(key, ()))
        return self._known[key]

    def note(self, rows: Iterable[TransitionRow]) -> None:
        """Count committed transitions that left a waiting state for another one but `failed`."""
        for row in rows:
            if row.took_ms is None or row.template_id is None or row.to_state is State.FAILED:
                continue
            key = (row.template_id, row.from_state)
            self._passes.setdefault(key, deque(maxlen=SAMPLES)).append(row.took_ms)
            self._known.pop(key, None)


def _percentiles(passes: Iterable[int]) -> Typical | None:
    ordered = sorted(passes)
    if len(ordered) < FEWEST:
        return None
    last = len(ordered) - 1
    return Typical(p50_ms=ordered[last // 2], p95_ms=ordered[round(last * 0.95)])
