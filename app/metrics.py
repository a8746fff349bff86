"""What an engine counts, for `/metrics`. Labels are states, kinds and verbs, never ids."""

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from workspaced.app.readiness import FAULTS
from workspaced.bus.stored import Stored
from workspaced.fsm.rows import Changes
from workspaced.fsm.state import State

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """One process's figures."""

    def __init__(self) -> None:
        # A second series for each counter, which says when it began; it can be switched off for the whole process only.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
        self._registry = CollectorRegistry()
        of = self._registry
        build = Gauge("workspaced_build_info", "Which release runs, always 1", ["version"], registry=of)
        build.labels(version("workspaced")).set(1)
        self._inputs = Counter("workspaced_inputs_total", "Messages taken from the streams", registry=of)
        self._redelivered = Counter("workspaced_redelivered_total", "Messages that were delivered before", registry=of)
        self._stale = Counter("workspaced_stale_total", "Reports that came too late to change anything", registry=of)
        self._dead = Counter("workspaced_dead_total", "Messages put aside", ["reason"], registry=of)
        transitions = Counter("workspaced_transitions_total", "Committed transitions", ["to"], registry=of)
        self._transitions = {state: transitions.labels(state.value) for state in State}
        self._size = Histogram("workspaced_batch_size", "Messages in a batch", buckets=SIZES, registry=of)
        self._commit = Histogram("workspaced_commit_seconds", "Decide and commit", buckets=SECONDS, registry=of)
        self._publish = Histogram("workspaced_publish_seconds", "Effects acknowledged", buckets=SECONDS, registry=of)
        self._conflicts = Counter("workspaced_conflicts_total", "Batches decided again", registry=of)
        self._requests = Histogram(
            "workspaced_request_seconds", "Requests answered", ["verb", "status"], buckets=SECONDS, registry=of
        )
        self.store_up = Gauge("workspaced_store_up", "Postgres answers", registry=of)
        self.queued = Gauge("workspaced_queued_builds", "Builds that wait for a limit, of all engines", registry=of)
        self.nats_up = Gauge("workspaced_nats_up", "NATS is connected", registry=of)
        self._faults = Gauge("workspaced_fault", "What keeps the engine from its work, 1 each", ["cause"], registry=of)
        self._used = Gauge(
            "workspaced_stream_used_ratio", "How much of its limits a stream has used", ["stream"], registry=of
        )
        self.faults({})

    def taken(self, batch: list[Stored]) -> None:
        """A batch was taken."""
        self._inputs.inc(len(batch))
        self._size.observe(len(batch))
        again = sum(stored.deliveries > 1 for stored in batch)
        if again:
            self._redelivered.inc(again)

    def committed(self, changes: Changes, seconds: float) -> None:
        """A batch's rows are committed."""
        self._commit.observe(seconds)
        if changes.stale:
            self._stale.inc(len(changes.stale))
        for row in changes.transitions:
            self._transitions[row.to_state].inc()

    def published(self, seconds: float) -> None:
        """A batch's effects are acknowledged."""
        self._publish.observe(seconds)

    def conflict(self) -> None:
        """A batch lost a race and is decided again."""
        self._conflicts.inc()

    def dead(self, reason: str) -> None:
        """A message was put aside."""
        self._dead.labels(reason).inc()

    def faults(self, now: dict[str, str]) -> None:
        """What is wrong now, by the words of `FAULTS`; nothing else is."""
        for word in FAULTS:
            self._faults.labels(word).set(word in now)

    def used(self, shares: dict[str, float]) -> None:
        """How full the streams are."""
        for stream, share in shares.items():
            self._used.labels(stream).set(share)

    def request(self, verb: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(verb, str(status)).observe(seconds)

    def described(self) -> list[tuple[str, str, str]]:
        """(name, kind, help) of every metric, as `/metrics` has them."""
        return [
            (f"{family.name}_total" if family.type == "counter" else family.name, family.type, family.documentation)
            for family in self._registry.collect()
        ]

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
