"""The tables of `docs/performance.md`, from the results as JSON."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from check import judged
from figures import counts, number

Found = dict[str, Any]


def spread(runs: dict[str, float], unit: str = "") -> str:
    """The median run, with the least and the most where there were several."""
    if runs["runs"] == 1:
        return f"{number(runs['middle'])}{unit}"
    return f"{number(runs['middle'])}{unit} ({number(runs['least'])} to {number(runs['most'])})"


def times(of: dict[str, Any]) -> str:
    """Two cells: p50 and p99."""
    return f"{spread(of['p50'])} | {spread(of['p99'])}"


def table(head: Sequence[str], rows: Sequence[str]) -> str:
    """In Markdown; each row is its cells, joined."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join(lines + [f"| {row} |" for row in rows]) + "\n"


def machine(found: Found) -> str:
    """One paragraph."""
    of = found["machine"]
    return (
        f"{of['cores']} cores of an {of['cpu']}, {of['memory_gb']} GB, Python {of['python']}; everything shares them: "
        f"both servers, the engine, the load and whoever listens. Load before the run: {of['load_before']}. "
        f"The run took {found['seconds'] / 60:.0f} minutes. Where a figure has a range, it is the median of several "
        "runs, with the least and the most.\n"
    )


def targets(found: Found) -> str:
    """Every figure that has one."""
    rows = [f"`{name}` | {value} | {target} | {verdict.lower()}" for verdict, name, value, target in judged(found)]
    return table(("figure", "measured", "target", ""), rows)


def latency(found: Found) -> str:
    """Time to know, ms."""
    names = {
        "ours_200": "ours, 200 events/s",
        "floor_200": "the floor, 200/s",
        "ours_1000": "ours, 1,000/s",
        "floor_1000": "the floor, 1,000/s",
        "ours_5000": "ours, 5,000/s",
        "polling": "polling every 2 s",
    }
    rows = [f"{name} | {times(found[f'latency.{key}'])}" for key, name in names.items()]
    return table(("", "p50, ms", "p99, ms"), [*rows, f"DBOS, `send` to `recv` | {times(found['peer.dbos_woken'])}"])


def reach(found: Found) -> str:
    """A dial, and a create of what is there."""
    rows = (
        f"dial of the bound agent | {times(found['dial.dialed'])}",
        f"a bare request to it | {times(found['dial.bare'])}",
        f"`create` of a workspace that is ready | {times(found['create.ready'])}",
    )
    return table(("", "p50, ms", "p99, ms"), rows)


def throughput(found: Found) -> str:
    """Per second."""
    names = {
        "throughput.naive": "one event, one transaction, one `send()` at a time",
        "peer.dbos_steps": "DBOS, steps of workflows, 16 at once",
        "throughput.pgbench": "pgbench, the same rows, a statement per table, 16 clients",
        "throughput.pgbench_one_statement": "pgbench, the same rows in one statement, 16 clients",
        "throughput.engine": "**the engine**, transitions",
        "throughput.pipeline": "the bare pipeline",
    }
    rows = [f"{name} | {spread(found[key])}" for key, name in names.items()]
    return table(("", "per second"), rows)


def profile(found: Found) -> str:
    """Processor time of one event."""
    names = {"engine": "the engine", "postgres": "Postgres", "nats": "NATS"}
    rows = [f"{name} | {spread(found[f'throughput.cpu_us_{key}'])}" for key, name in names.items()]
    return table(("processor time of one event under full load", "µs"), rows)


def batch(found: Found) -> str:
    """Processor time of each step of a batch."""
    names = {
        "lock": "Postgres: lock",
        "load": "Postgres: load",
        "write": "Postgres: write",
        "write_agents": "... agents alone",
        "write_chats": "... chats alone",
        "write_transitions": "... transitions alone",
        "commit": "Postgres: commit",
        "decode": "the engine: decode the messages",
        "read_rows": "the engine: read the rows that were loaded",
        "decide": "the engine: decide",
        "make_rows": "the engine: make the rows that are written",
        "make_messages": "the engine: make the messages",
    }
    rows = [
        f"{name} | " + " | ".join(number(found[f"batch.{step}_ms_{size}"]) for size in (1, 256))
        for step, name in names.items()
    ]
    return table(("processor time of a batch, ms", "of one message", "of 256"), rows)


def waiting(found: Found) -> str:
    """What an engine and the servers use beside so many chats that wait."""
    rows = []
    for chats in counts(found, "waiting.recover_s_"):
        of = {key: found[f"waiting.{key}_{chats}"] for key in _WAITING}
        percents = " | ".join(f"{of[f'{name}_percent']:.2f}" for name in ("engine", "postgres", "nats"))
        polled = chats * found["waiting.polling_queries_per_min_each"]
        rows.append(
            f"{chats:,} | {percents} | {number(of['rss_mb'])} | {number(of['queries_per_min'])} | {polled:,.0f} | "
            f"{spread(of['recover_s'])} | {number(of['rearm_s'])}"
        )
    head = ("chats", "engine, % of a core", "Postgres, %", "NATS, %", "engine, MB", "queries/min")
    return table((*head, "polling, queries/min", "restart, s", "all deadlines anew, s"), rows)


_WAITING: Final = (
    *("engine_percent", "postgres_percent", "nats_percent"),
    *("rss_mb", "queries_per_min", "recover_s", "rearm_s"),
)


def cost(found: Found) -> str:
    """Of one chat from nothing to ready."""
    polled = [f"polling, a build of {minutes} min | {found[f'cost.polling_{minutes}min']}" for minutes in (1, 5, 10)]
    rows = (
        f"statements, alone | {number(found['cost.sql_per_chat'])}",
        f"BEGIN and COMMIT, alone | {number(found['cost.begin_commit_per_chat'])}",
        f"statements, of many at once | {number(found['cost.sql_per_chat_together'])}",
        *(f"statements, {row}" for row in polled),
        f"Postgres' log (WAL), kB | {number(found['cost.wal_kb_per_chat'])}",
        f"messages that clients send to NATS, acknowledgements included | {number(found['cost.messages_per_chat'])}",
        f"of them kept in streams | {number(found['cost.stored_messages_per_chat'])}",
        f"kB they take there | {number(found['cost.stored_kb_per_chat'])}",
    )
    return table(("for each chat", ""), rows)


def growth(found: Found) -> str:
    """Engines, chats on a workspace, history."""
    rows = [
        f"{count} engine{'s' * (count > 1)}, events/s | {spread(found[f'growth.engines_{count}'])}"
        for count in counts(found, "growth.engines_")
    ]
    rows += [
        f"{chats:,} chats on one workspace, ms until all are told | {spread(found[f'growth.sharing_{chats}_ms'])}"
        for chats in counts(found, "growth.sharing_", "_ms")
    ]
    kept = found["growth.history_transitions"]
    for verb in ("get", "list", "history"):
        few, many = (found[f"growth.{verb}_{size}"]["p99"] for size in ("few", "many"))
        rows.append(f"`{verb}`, p99 ms beside 1,000 and {kept:,} transitions | {spread(few)}; {spread(many)}")
    return table(("", ""), [*rows, f"how they are read | {', '.join(found['growth.history_plans'])}"])


def connects(found: Found) -> str:
    """What the auth callout adds."""
    names = {
        "standing": "a standing user",
        "agent": "an agent, which the callout lets in",
        "callout_added": "**the callout adds**",
    }
    rows = [f"{name} | {times(found[f'security.{key}'])}" for key, name in names.items()]
    return table(("to connect, 100 a second", "p50, ms", "p99, ms"), rows)


def revoked(found: Found) -> str:
    """How soon an agent is out."""
    names = {"deleted": "`delete` is sent", "rebuilt": "`build.created` of a newer build is sent"}
    rows = [f"{name} | {times(found[f'security.{key}'])}" for key, name in names.items()]
    return table(("until the agent's connection is closed, from when", "p50, ms", "p99, ms"), rows)


def identity(found: Found) -> str:
    """What checks cost, each by itself."""
    names = {
        "decide_report": "the engine decides an agent's report",
        "decide_job": "the engine decides a provisioner's report under its tag",
        "decide_command": "the engine decides a command of one organization's user",
        "nats_report": "NATS takes in an agent's report",
        "nats_push": "NATS takes in a message of the engine's",
    }
    rows = [
        f"{name} | {spread(found[f'security.{key}_checked_us'])} | {spread(found[f'security.{key}_believed_us'])}"
        for key, name in names.items()
    ]
    whole, checks = found["security.whole_us"], found["security.checks_us"]
    inside = spread(found["security.nats_report_same_account_us"])
    rows += [
        f"NATS takes in an agent's report, within the engine's account | | {inside}",
        f"**one event, all of it** | {number(whole)} | {number(whole - checks)}",
    ]
    return table(("µs of processor time", "as it is", "nobody is checked"), rows)


def tenants(found: Found) -> str:
    """Whole engines beside each other."""
    names = {
        "checked": "as it is",
        "believed": "nobody is checked",
        "tenants": "each transition is announced to its organization too",
    }
    rows = [
        f"{name} | {spread(found[f'security.events_{key}'])} | {spread(found[f'security.event_{key}_us'])}"
        for key, name in names.items()
    ]
    return table(("agents' reports through an engine", "events/s", "µs of processor time"), rows)


TABLES: Final[dict[str, Callable[[Found], str]]] = {
    "machine": machine,
    "targets": targets,
    "latency": latency,
    "reach": reach,
    "throughput": throughput,
    "profile": profile,
    "batch": batch,
    "waiting": waiting,
    "cost": cost,
    "growth": growth,
    "connects": connects,
    "revoked": revoked,
    "identity": identity,
    "tenants": tenants,
}
