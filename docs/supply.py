"""Whether we run what we pinned, and what is known of it.

`python -P docs/supply.py` compares the installed packages with constraints.txt, without a network: `make check` does.
`python -P docs/supply.py --report FILE` reads what pip-audit wrote: exit code 0 when all is well, 1 for a known
vulnerability, 3 when the index here could not say it of every package. `make audit` runs it.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

PINS = Path(__file__).parents[1] / "constraints.txt"
OURS = frozenset({"workspaced", "pip", "setuptools"})
"""The project itself, and what Python brings to install with."""


def pinned(text: str) -> dict[str, str]:
    """Versions by name. Raises ValueError for a pin without a hash."""
    pins = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        name, _, rest = block.partition("==")
        if "--hash=sha256:" not in rest:
            raise ValueError(f"{name} has no hash")
        pins[_plain(name)] = rest.split()[0]
    return pins


def strangers(pins: Mapping[str, str], installed: Iterable[tuple[str, str]]) -> list[str]:
    """What is installed and not pinned, or in another version."""
    found = {_plain(name): version for name, version in installed}
    return [
        f"{name} {version} is installed, and {pins.get(name, 'no version')} is pinned"
        for name, version in sorted(found.items())
        if name not in OURS and pins.get(name) != version
    ]


def verdict(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The exit code and what to say of pip-audit's report."""
    known = report["dependencies"]
    unchecked = [each["name"] for each in known if "skip_reason" in each]
    bad = [f"{each['name']} {each['version']}: {one['id']}" for each in known for one in each.get("vulns", ())]
    said = [
        *bad,
        f"{len(known) - len(unchecked)} of {len(known)} packages were checked, {len(bad)} vulnerabilities known",
    ]
    if unchecked:
        said.append(
            f"INCONCLUSIVE: the package index here knows no vulnerabilities of {len(unchecked)}: {', '.join(unchecked)}"
        )
    return (1 if bad else 3 if unchecked or not known else 0), said


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: list[str]) -> int:
    """Do one or the other."""
    if arguments:
        code, said = verdict(json.loads(Path(arguments[1]).read_text()))
        print("\n".join(said))
        return code
    odd = strangers(pinned(PINS.read_text()), ((each.name, each.version) for each in distributions()))
    for one in odd:
        print(f"{one}; `make clean`, or `make lock`", file=sys.stderr)
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
