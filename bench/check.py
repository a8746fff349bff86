"""Prints each figure of the last run with its target (issues 5, 6); exit code 1 when one is missed or not measured."""

import json
import sys
from collections.abc import Mapping
from typing import Final

from sizes import results_path

TARGETS: Final = {
    "latency.p50_ratio_polling": (">=", 500),
    "latency.p99_ratio_polling": (">=", 300),
    "latency.p50_over_floor": ("<=", 2.5),
    "latency.p99_over_floor": ("<=", 4),
    "dial.p50_over_bare": ("<=", 1.2),
    "dial.engine_requests": ("<=", 0),
    "create.ready_p99_ms": ("<=", 10),
    "throughput.ratio_floor": (">=", 0.6),
    "throughput.ratio_pgbench": (">=", 3),
    "throughput.ratio_naive": (">=", 20),
    "machine.ratio_send": (">=", 100),
    "peer.ratio_dbos_steps": (">=", 40),
    "waiting.cpu_percent_100k": ("<=", 0.5),
    "waiting.rss_mb_100k_minus_0": ("<=", 10),
    "waiting.recover_s_100k": ("<=", 3),
    "cost.sql_per_chat": ("<=", 16),
    "cost.ratio_polling_10min": (">=", 40),
    "growth.history_10m_p99_over_1k": ("<=", 1.5),
    "security.callout_added_p99_ms": ("<=", 10),
    "security.identity_cost_percent": ("<=", 5),
}


def judged(results: Mapping[str, object]) -> list[tuple[str, str, str, str]]:
    """(verdict, figure, value, target) of each."""
    rows = []
    for name, (sign, target) in TARGETS.items():
        value = results.get(name)
        if not isinstance(value, int | float):
            rows.append(("MISSED", name, "not measured", f"{sign} {target}"))
            continue
        met = value >= target if sign == ">=" else value <= target
        rows.append(("ok" if met else "MISSED", name, f"{value:,.2f}", f"{sign} {target}"))
    return rows


def main() -> int:
    """0 when every target is met."""
    rows = judged(json.loads(results_path().read_text()))
    for verdict, name, value, target in rows:
        print(f"{verdict:6} {name:32} {value:>12}   target {target}")
    return 1 if any(verdict == "MISSED" for verdict, *_ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
