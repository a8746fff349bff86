"""The snippets of docs/provisioners.md do what every provisioner and agent owes."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.e2e.verdicts import PATIENT, verdicts

PAGE = Path(__file__).parents[2] / "docs" / "provisioners.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("number", "what", "checks"),
    [
        (0, "provisioner", ("running-first", "agents-told", "stop-and-delete", "hung-job-refused", "leaves-nothing")),
        (1, "agent", ("connected-named", "lifecycle-in-order", "failed-script-told", "farewell-said")),
    ],
    ids=["provisioner", "agent"],
)
def test_snippets(tmp_path: Path, number: int, what: str, checks: tuple[str, ...]) -> None:
    """As they stand there."""
    assert len(SNIPPETS) == 2
    script = tmp_path / "snippet.py"
    script.write_text(SNIPPETS[number])
    only = [word for name in checks for word in ("--only", name)]

    cli = CommandLine({"PATH": os.environ["PATH"]})
    found = verdicts(cli, what, *PATIENT, *only, "--", sys.executable, "-P", script)

    assert found == dict.fromkeys(checks, "pass")
