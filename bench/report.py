"""Draws the plots and writes the figures of `docs/performance.md` from the results, so that nobody copies a number."""

import json
import re
import sys
from pathlib import Path

import plots
import tables
from sizes import results_path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "plots"


def write(results: Path) -> None:
    """Into the documents when the results are the repository's; else beside the results."""
    found = json.loads(results.read_text())
    ours = results.parent == ROOT / "bench"
    plots.draw(found, PLOTS if ours else results.parent / "plots")
    target = PAGE if ours else results.with_name(PAGE.name)
    target.write_text(filled(PAGE.read_text(), found))
    print(f"written: {results.relative_to(ROOT)}, {target.relative_to(ROOT)} and its plots")


def filled(text: str, found: tables.Found) -> str:
    """The page with every table between its markers made anew; what was not measured keeps its old one."""
    for name, table in tables.TABLES.items():
        try:
            made = table(found)
        except KeyError as error:
            print(f"{name}: {error} was not measured", file=sys.stderr)
            continue
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda at, made=made: f"{at[1]}\n{made}\n{at[2]}", text)
    return text


if __name__ == "__main__":
    write(results_path())
