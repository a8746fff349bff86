"""Running `workspaced conformance` and reading what came of each check."""

import re
from pathlib import Path
from typing import Any

from tests.command_line import CommandLine

SLOW = ("--slow-source", '{"seconds": 60}', "--failing-source", '{"error": "no disk"}')
"""What the example provisioners understand."""
LIMIT = 110
"""Seconds after which a test gives up: all checks take longer than other commands."""


def verdicts(cli: CommandLine, *arguments: str | Path) -> dict[str, Any]:
    """What came of each check by its name: `pass`, `skip`, or the reason of a failure."""
    done = cli.run("conformance", *arguments, limit=LIMIT)
    found: dict[str, Any] = {}
    last = ""
    for line in done.stdout.splitlines():
        if match := re.match(r"(pass|fail|skip)  (\S+)", line):
            found[match[2]] = match[1]
            last = match[2]
        elif line.startswith("      ") and found.get(last) == "fail":
            found[last] = line.strip()
    assert done.returncode == int(not set(found.values()) <= {"pass", "skip"}), done.stderr
    return found
