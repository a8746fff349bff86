"""README and docs say what the code does."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from workspaced.app.cli import COMMANDS
from workspaced.store.pool import SESSION

KNOWN_TO_PGBOUNCER = {"application_name", "TimeZone"}
ROOT = Path(__file__).resolve().parents[2]
GENERATE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("page", GENERATE["PAGES"])
def test_generated_parts_are_up_to_date(page: str) -> None:
    """Diagram, tables of transitions, metrics and streams are those of the code; `make docs` writes them."""
    text = (ROOT / page).read_text()

    assert GENERATE["regenerated"](text) == text


def test_every_generated_part_stands_on_a_page() -> None:
    """No part is generated for nobody."""
    pages = "".join((ROOT / page).read_text() for page in GENERATE["PAGES"])

    assert [name for name in GENERATE["PARTS"] if f"<!-- {name} -->" not in pages] == []


def test_readme_is_short() -> None:
    """The README has at most 200 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_commands_are_there() -> None:
    """Every command that README and docs name is one."""
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = {
        (page.name, command)
        for page in pages
        for command in re.findall(r"(?:`|^ {4}|^)workspaced ([a-z-]+)", page.read_text(), re.MULTILINE)
    }

    assert {(page, command) for page, command in named if command not in COMMANDS} == set()


def test_pgbouncer_is_told_to_ignore_what_it_does_not_know() -> None:
    """Else it lets no engine in."""
    (listed,) = re.findall(r"ignore_startup_parameters = (\S+)", (ROOT / "docs" / "operations.md").read_text())

    assert set(listed.split(",")) == set(SESSION) - KNOWN_TO_PGBOUNCER


def test_links_lead_somewhere() -> None:
    """Every relative link in README and docs names a file that is there."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [
        (page.name, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / link).exists()
    ]

    assert links == []
