"""Compares the ratios in `bench/results.json` with the targets; exit code 1 when one is missed."""

import json
import sys
from pathlib import Path

TARGETS = {
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
}


def main() -> int:
    """0 when every target is met."""
    results = json.loads(Path(__file__).with_name("results.json").read_text())
    missed = 0
    for name, (sign, target) in TARGETS.items():
        value = results.get(name)
        met = value is not None and (value >= target if sign == ">=" else value <= target)
        missed += not met
        shown = "not measured" if value is None else f"{value:,.2f}"
        print(f"{'ok    ' if met else 'MISSED'} {name:28} {shown:>12}   target {sign} {target}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
