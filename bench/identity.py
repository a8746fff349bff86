"""What it costs to check who says what, and to tell organizations of their own chats.

The checks are too cheap to be seen in events/s, whose runs differ by more. So their processor time is measured where
each of them happens, with and without them in turn, and set beside all that an event takes.
"""

from deciding import KINDS, heard
from figures import Figures, Runs, say
from fleet import Fleet
from saying import speeches
from sizes import Sizes
from stack import Stack
from throughput import through_engines

ENGINES: dict[str, dict[str, bool]] = {"checked": {}, "believed": {"believing": True}, "tenants": {"tenants": True}}
SAID = 3
"""Messages that an engine says of an event: the push, the timer and the acknowledgement."""


async def measure(stack: Stack, fleet: Fleet, sizes: Sizes) -> Figures:
    """Events/s and processor time of each kind of engine; then the checks by themselves."""
    found = await through(stack, fleet, sizes)
    await stack.stop_engines()
    found |= await deciding(stack, fleet, sizes) | await saying(stack, fleet, sizes)
    await stack.start_engine()
    us = {key.removeprefix("security."): runs.middle for key, runs in found.items()}
    checks = {
        "engine": us["decide_report_checked_us"] - us["decide_report_believed_us"],
        "NATS, what the engine says": SAID * (us["nats_push_checked_us"] - us["nats_push_believed_us"]),
        "NATS, what the agent says": us["nats_report_checked_us"] - us["nats_report_believed_us"],
    }
    account = us["nats_report_believed_us"] - us["nats_report_same_account_us"]
    whole = us["event_checked_us"] + us["nats_report_checked_us"]
    say(f"  of {whole:.0f} µs: " + ", ".join(f"{name} {took:.2f}" for name, took in checks.items()))
    return found | {
        "security.checks_us": sum(checks.values()),
        "security.whole_us": whole,
        "security.identity_cost_percent": 100 * sum(checks.values()) / whole,
        "security.account_cost_percent": 100 * account / whole,
        "security.tenants_cost_percent": 100 * (us["event_tenants_us"] / us["event_checked_us"] - 1),
    }


async def through(stack: Stack, fleet: Fleet, sizes: Sizes) -> dict[str, Runs]:
    """Agents' reports through each kind of engine: events/s, and µs of all processes; another is first each round."""
    rates: dict[str, list[float]] = {kind: [] for kind in ENGINES}
    took: dict[str, list[float]] = {kind: [] for kind in ENGINES}
    kinds = list(ENGINES)
    for number in range(sizes.rounds):
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            used: dict[str, list[float]] = {"engine": [], "postgres": [], "nats": []}
            rates[kind].append(await through_engines(stack, fleet, sizes.events // 2, used=used, **ENGINES[kind]))
            took[kind].append(sum(us for (us,) in used.values()))
    return _told(
        {f"events_{kind}": runs for kind, runs in rates.items()}
        | {f"event_{kind}_us": runs for kind, runs in took.items()}
    )


async def deciding(stack: Stack, fleet: Fleet, sizes: Sizes) -> dict[str, Runs]:
    """µs of an engine's own work on a message of each kind."""
    messages = await heard(stack.dsn, fleet)
    took: dict[str, list[float]] = {}
    for _ in range(sizes.rounds):
        for kind in KINDS:
            for name, believe in (("checked", False), ("believed", True)):
                us = messages[kind].took_us(believe=believe)
                took.setdefault(f"decide_{kind}_{name}_us", []).append(us)
    return _told(took)


async def saying(stack: Stack, fleet: Fleet, sizes: Sizes) -> dict[str, Runs]:
    """µs of NATS' work on a message, by who says it."""
    took: dict[str, list[float]] = {}
    async with speeches(stack, fleet) as by:
        for _ in range(sizes.rounds):
            for name, speech in by.items():
                took.setdefault(f"nats_{name}_us", []).append(await speech.took_us(stack))
    return _told(took)


def _told(found: dict[str, list[float]]) -> dict[str, Runs]:
    runs = {f"security.{name}": Runs.of(values) for name, values in found.items()}
    for key, of in runs.items():
        say(f"  {key}: {of}")
    return runs
