"""Writes the generated parts of README and docs anew: whatever stands between `<!-- name -->` and `<!-- /name -->`.

`python -P docs/generate.py` writes them; `--check` only says which are out of date (exit code 1).
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from workspaced.app import variables
from workspaced.app.audit import INVARIANTS
from workspaced.app.cli import COMMANDS
from workspaced.app.contract import files, page
from workspaced.app.metrics import Metrics
from workspaced.app.readiness import FAULTS
from workspaced.bus import streams
from workspaced.fsm.drawing import diagram, table

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "docs/cli.md",
    "docs/operations.md",
    "docs/outages.md",
    "docs/protocol.md",
    "docs/reliability.md",
    "docs/settings.md",
)


def metrics() -> str:
    """Every metric with its help text."""
    rows = [f"| `{name}` | {kind} | {text} |" for name, kind, text in Metrics().described()]
    return "\n".join(["| metric | kind | what it counts |", "|---|---|---|", *rows]) + "\n"


def faults() -> str:
    """What `/readyz` says, and the word for it."""
    rows = [f"| `{word}` | {text} |" for word, text in FAULTS.items()]
    return "\n".join(["| cause | `/readyz` |", "|---|---|", *rows]) + "\n"


def stream_table() -> str:
    """The streams as they are made."""
    rows = []
    for stream in streams.stream_definitions(streams.Limits()):
        age = stream.get("max_age", 0) // 86_400_000_000_000
        kept = f"{age} days" if age else "until done" if stream["retention"] == "workqueue" else "for good"
        subjects = ", ".join(f"`{subject}`" for subject in stream["subjects"])
        rows.append(f"| {stream['name']} | {subjects} | {kept} |")
    return "\n".join(["| stream | subjects | kept |", "|---|---|---|", *rows]) + "\n"


def settings(group: tuple[variables.Variable, ...]) -> str:
    """The settings of one program, as flags and variables."""
    rows = []
    for each in group:
        flag = f"`{each.flag}`" if each.has_flag else "-"
        rows.append(f"| `{each.variable}` | {flag} | {each.default_text or '-'} | {each.help} |")
    return "\n".join(["| variable | flag | default | |", "|---|---|---|---|", *rows]) + "\n"


def commands() -> str:
    """Every command with its line of help."""
    rows = [f"| `{name}` | {text} |" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["| command | |", "|---|---|", *rows]) + "\n"


def invariants() -> str:
    """What the audit checks."""
    rows = [f"| `{name}` | {text} |" for name, text in INVARIANTS.items()]
    return "\n".join(["| invariant | what must hold |", "|---|---|", *rows]) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "diagram": lambda: f"```mermaid\n{diagram()}```\n",
    "transitions": table,
    "metrics": metrics,
    "faults": faults,
    "streams": stream_table,
    "commands": commands,
    "invariants": invariants,
    "contract-requests": page.requests,
    "contract-errors": page.errors,
    "contract-subjects": page.subjects,
    "contract-internal": page.internal,
    "contract-dead": page.dead_reasons,
    "contract-headers": page.headers,
    "contract-bodies": page.bodies,
    "contract-golden": lambda: page.golden("chat"),
    "settings-where": lambda: settings(variables.WHERE),
    "settings-stored": lambda: settings(variables.SETTINGS),
    "settings-engine": lambda: settings(variables.ENGINE),
    "settings-provisioner": lambda: settings(variables.PROVISIONER),
    "settings-callout": lambda: settings(variables.CALLOUT),
    "settings-streams": lambda: settings(variables.STREAMS),
    "settings-client": lambda: settings(variables.CLIENT),
    "settings-mcp": lambda: settings(variables.MCP),
}


def regenerated(text: str) -> str:
    """`text` with every generated part anew."""
    for name, part in PARTS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda found, part=part: f"{found[1]}{part()}{found[2]}", text)
    return text


def main() -> int:
    """0 when all is as it should be."""
    stale = []
    for name in PAGES:
        path = ROOT / name
        text = path.read_text()
        if (wanted := regenerated(text)) != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(wanted)
    if "--check" not in sys.argv:
        stale += [str(path.relative_to(ROOT)) for path in files.write(ROOT / "docs" / "contract")]
    if stale:
        print(f"{'out of date' if '--check' in sys.argv else 'written'}: {', '.join(stale)}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
