"""The tables of docs/security.md, who may publish and subscribe to what, and what else it has for nats.conf."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "security.md"

IDS: Final = {
    "workspace": "00000000-0000-4000-8000-000000000001",
    "other workspace": "00000000-0000-4000-8000-000000000002",
    "agent": "00000000-0000-4000-8000-00000000000a",
    "other agent": "00000000-0000-4000-8000-00000000000b",
    "organization": "00000000-0000-4000-8000-00000000000f",
    "chat": "00000000-0000-4000-8000-00000000000c",
    "job": "00000000-0000-4000-8000-00000000000d",
    "build": "00000000-0000-4000-8000-00000000000e",
    "server": "NSERVER",
}
"""What stands in the tables in angle brackets; the agent that is asked is the first one, of the first workspace."""


class Rows(NamedTuple):
    """One table: its roles, and by subject who may."""

    roles: tuple[str, ...]
    may: dict[str, frozenset[str]]

    def of(self, role: str) -> set[str]:
        """The subjects that `role` may use."""
        return {subject for subject, roles in self.may.items() if role in roles}


def rows(name: str, ids: Mapping[str, str] = IDS) -> Rows:
    """The table between `<!-- name -->` and `<!-- /name -->`; a `yes` is a yes, everything else a no."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    head, _, *lines = [_cells(line) for line in found[1].strip().splitlines()]
    roles = tuple(head[1:])
    may = {}
    for named, *cells in lines:
        assert len(cells) == len(roles), named
        subject = re.sub(r"<([a-z ]+)>", lambda place: ids[place[1]], named.strip("`"))
        may[subject] = frozenset(role for role, cell in zip(roles, cells, strict=True) if cell == "yes")
    return Rows(roles, may)


def snippet(name: str) -> str:
    """The text of the code block that stands below `<!-- name -->`."""
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]
