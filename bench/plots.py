"""The plots of `docs/performance.md` and the README, as SVG, from the results as JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from figures import counts, number
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Found = dict[str, Any]
Bar = tuple[str, dict[str, float] | float, str]
"""Name, value with or without a spread, colour."""

OURS, LIMIT, RIVAL = "#1f77b4", "#9a9a9a", "#d95f02"
SMALL = (7.5, 2.4)

mpl.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text: small, and searchable
        "svg.hashsalt": "workspaced",  # the same picture, the same file
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def draw(found: Found, folder: Path) -> None:
    """Every plot whose figures were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        try:
            figure = plot(found)
        except KeyError as error:
            print(f"{name}.svg: {error} was not measured")
            continue
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, facecolor="white")


def bars(axes: Axes, rows: Sequence[Bar], title: str, *, log: bool = False) -> None:
    """Lying bars from the top, each with its value and, where there were several runs, its spread."""
    for place, (_, value, colour) in enumerate(rows):
        runs = value if isinstance(value, dict) else {"middle": value, "least": value, "most": value}
        middle = runs["middle"]
        spread = [[middle - runs["least"]], [runs["most"] - middle]]
        axes.barh(place, middle, xerr=spread, color=colour, error_kw={"lw": 1, "capsize": 2})
        axes.annotate(number(middle), (runs["most"], place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)  # from the top; `invert_yaxis` would turn shared axes twice
    axes.set_title(title, loc="left", fontsize=9)
    most = max(value["most"] if isinstance(value, dict) else value for _, value, _ in rows)
    if log:
        axes.set_xscale("log")
        axes.set_xlim(0.5, most * 6)
    else:
        axes.set_xlim(0, most * 1.25)


def time_to_know(found: Found) -> Figure:
    """Polling and ours; what the README shows."""
    figure = Figure(figsize=SMALL, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for part, at in zip(("p50", "p99"), axes, strict=True):
        rows = [
            ("polling every 2 s", found["latency.polling"][part], RIVAL),
            ("workspaced, 200 events/s", found["latency.ours_200"][part], OURS),
            ("least possible: one publish, one commit", found["latency.floor_200"][part], LIMIT),
        ]
        bars(at, rows, f"time to know, {part}, ms (logarithmic)", log=True)
    return figure


def latency(found: Found) -> Figure:
    """Ours and the floor by rate, and the peer."""
    figure = Figure(figsize=SMALL, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for part, at in zip(("p50", "p99"), axes, strict=True):
        rows = [("DBOS, send to recv", found["peer.dbos_woken"][part], RIVAL)]
        for rate in (200, 1000, 5000):
            rows.append((f"workspaced, {rate:,}/s", found[f"latency.ours_{rate}"][part], OURS))
            if f"latency.floor_{rate}" in found:
                rows.append((f"floor, {rate:,}/s", found[f"latency.floor_{rate}"][part], LIMIT))
        bars(at, rows, f"event to notification, {part}, ms (logarithmic)", log=True)
    return figure


def throughput(found: Found) -> Figure:
    """Ours between rivals and limits."""
    figure = Figure(figsize=SMALL, layout="constrained")
    rows = [
        ("one at a time", found["throughput.naive"], RIVAL),
        ("DBOS, steps", found["peer.dbos_steps"], RIVAL),
        ("pgbench, a statement per table", found["throughput.pgbench"], LIMIT),
        ("pgbench, one statement", found["throughput.pgbench_one_statement"], LIMIT),
        ("workspaced, transitions", found["throughput.engine"], OURS),
        ("bare pipeline", found["throughput.pipeline"], LIMIT),
    ]
    bars(figure.subplots(), rows, "per second")
    return figure


def waiting(found: Found) -> Figure:
    """Queries and memory by chats that wait."""
    figure = Figure(figsize=SMALL, layout="constrained")
    left, right = figure.subplots(1, 2)
    chats = counts(found, "waiting.recover_s_")
    each = found["waiting.polling_queries_per_min_each"]
    names = [f"{count:,}" for count in chats]
    left.plot(names, [count * each for count in chats], "o-", color=RIVAL, label="polling")
    left.plot(
        names, [found[f"waiting.queries_per_min_{count}"] for count in chats], "o-", color=OURS, label="workspaced"
    )
    left.set_yscale("symlog", linthresh=10)
    left.set_ylim(bottom=-1)
    left.set_title("queries per minute, by chats that wait", loc="left", fontsize=9)
    left.legend(frameon=False)
    right.plot(names, [found[f"waiting.rss_mb_{count}"] for count in chats], "o-", color=OURS)
    right.set_ylim(bottom=0)
    right.set_title("engine's memory, MB", loc="left", fontsize=9)
    return figure


def cost(found: Found) -> Figure:
    """Statements of one chat."""
    figure = Figure(figsize=SMALL, layout="constrained")
    rows = [
        (f"polling, a build of {minutes} min", found[f"cost.polling_{minutes}min"], RIVAL) for minutes in (10, 5, 1)
    ]
    rows.append(("workspaced, alone", found["cost.sql_per_chat"], OURS))
    rows.append(("workspaced, many at once", found["cost.sql_per_chat_together"], OURS))
    bars(figure.subplots(), rows, "statements from nothing to ready")
    return figure


def growth(found: Found) -> Figure:
    """Engines, chats on one workspace, and what a long history does to requests."""
    figure = Figure(figsize=(7.5, 2.6), layout="constrained")
    engines, sharing, history = figure.subplots(1, 3)
    several: list[Bar] = [
        (f"{count} engine{'s' * (count > 1)}", found[f"growth.engines_{count}"], OURS)
        for count in counts(found, "growth.engines_")
    ]
    bars(engines, several, "events/s")
    chats = counts(found, "growth.sharing_", "_ms")
    sharing.loglog(chats, [found[f"growth.sharing_{count}_ms"]["middle"] for count in chats], "o-", color=OURS)
    sharing.set_title("ms by chats on a workspace", loc="left", fontsize=9)
    rows: list[Bar] = []
    for verb in ("get", "list", "history"):
        rows.append((f"{verb}, 1,000", found[f"growth.{verb}_few"]["p99"], LIMIT))
        rows.append(
            (f"{verb}, {number_of(found['growth.history_transitions'])}", found[f"growth.{verb}_many"]["p99"], OURS)
        )
    bars(history, rows, "p99 ms by rows kept")
    return figure


def number_of(count: int) -> str:
    """In millions when there are so many."""
    return f"{count / 1e6:.0f} million" if count >= 1e6 else f"{count:,}"  # noqa: PLR2004 - a million


PLOTS: Final[dict[str, Callable[[Found], Figure]]] = {
    "time-to-know": time_to_know,
    "latency": latency,
    "throughput": throughput,
    "waiting": waiting,
    "cost": cost,
    "growth": growth,
}
