"""From a published event to the notification in the client's hands: ours, the floor, and the polling it replaces."""

import msgspec
from figures import Figures, Times, say
from fleet import Fleet
from floor import OUT, bare_events, bare_name, bare_pipeline, bare_streams
from load import latencies
from nats.aio.msg import Msg
from polling import crowd
from sizes import Sizes
from stack import Stack

RATES = (200, 1_000, 5_000)
FLOOR_RATES = RATES[:2]
"""Those that have a target."""


class _Cause(msgspec.Struct):
    id: str


class _Push(msgspec.Struct):
    cause: _Cause


_decode = msgspec.json.Decoder(_Push).decode


def cause_of(message: Msg) -> str:
    """The id of the message that a push tells of."""
    return _decode(message.data).cause.id


async def measure(stack: Stack, fleet: Fleet, sizes: Sizes) -> Figures:
    """Ours at three rates, the floor, and the loop that polls; ours and the floor in turn."""
    ours: dict[int, list[list[float]]] = {rate: [] for rate in RATES}
    floors: dict[int, list[list[float]]] = {rate: [] for rate in FLOOR_RATES}
    for _ in range(sizes.rounds):
        for rate in RATES:
            events = fleet.flips(int(rate * sizes.seconds))
            ours[rate].append(await latencies(stack.admin, events, rate, "ws.chat.>", cause_of))
        async with bare_streams(stack), bare_pipeline(stack, fleet, facts=True):
            for rate in FLOOR_RATES:
                events = bare_events(int(rate * sizes.seconds))
                floors[rate].append(await latencies(stack.admin, events, rate, OUT, bare_name))
    polled = await crowd(stack, sizes.pollers, sizes.polling_s)
    polling = Times.of_seconds([polled.took])
    known, least = ({rate: Times.of_seconds(runs) for rate, runs in of_all.items()} for of_all in (ours, floors))
    for rate in RATES:
        say(f"  {rate}/s: {known[rate]}" + (f"; floor: {least[rate]}" if rate in least else ""))
    say(f"  polling: {polling}, {polled.statements_per_s:.2f} statements/s for each chat that waits")
    usual, busy = RATES[:2]
    return {
        **{f"latency.ours_{rate}": times for rate, times in known.items()},
        **{f"latency.floor_{rate}": times for rate, times in least.items()},
        "latency.polling": polling,
        "latency.polling_statements_per_s": polled.statements_per_s,
        "latency.p50_ratio_polling": polling.p50.middle / known[usual].p50.middle,
        "latency.p99_ratio_polling": polling.p99.middle / known[usual].p99.middle,
        "latency.p50_over_floor": known[usual].p50.middle / least[usual].p50.middle,
        "latency.p99_over_floor": known[busy].p99.middle / least[busy].p99.middle,
    }
