"""The conformance suites: our own programs and the examples pass, wrong ones fail by name."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.command_line import CommandLine, program
from tests.e2e.verdicts import SLOW, verdicts

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENT = ("--patience", "40")
ESSENTIAL = ("running-first", "acked-after-end", "log-ended", "failure-told", "cancel-heeded", "hung-job-refused")
needs_node = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="Node.js with npm is not installed"
)


@pytest.fixture
def cli() -> CommandLine:
    """The command line."""
    return CommandLine({"PATH": os.environ["PATH"]})


def names(cli: CommandLine, what: str) -> list[str]:
    """All checks there are."""
    return [line.split()[0] for line in cli.lines("conformance", what, "--list", "--", "true")]


def test_local_provisioner(cli: CommandLine, tmp_path: Path) -> None:
    """Ours does every duty."""
    sources = ("--slow-source", '{"build_script": "sleep 60"}', "--failing-source", '{"build_script": "exit 3"}')
    ours = ("provisioner", "--tag", "conformance", "--workspaces", tmp_path / "ws", "--end-agents")

    found = verdicts(cli, "provisioner", *PATIENT, *sources, "--", program(), *ours)

    assert found == dict.fromkeys(names(cli, "provisioner"), "pass")


def test_agent(cli: CommandLine) -> None:
    """Ours does every duty."""
    found = verdicts(cli, "agent", *PATIENT, "--", program(), "agent")

    assert found == dict.fromkeys(names(cli, "agent"), "pass")


def test_example_in_python(cli: CommandLine) -> None:
    """Eighty lines made from the contract alone do every duty."""
    example = (sys.executable, "-P", EXAMPLES / "provisioner.py")

    assert set(verdicts(cli, "provisioner", *PATIENT, *SLOW, "--", *example).values()) == {"pass"}


def test_example_is_short() -> None:
    """Eighty lines of code besides imports show how little it takes."""
    code = re.sub(r'""".*?"""', "", (EXAMPLES / "provisioner.py").read_text(), flags=re.DOTALL)

    assert len([line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]) <= 80


@needs_node
def test_example_in_node(cli: CommandLine, tmp_path: Path) -> None:
    """The same in another language."""
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    install = ["npm", "ci", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=110)

    only = [word for name in ESSENTIAL for word in ("--only", name)]
    found = verdicts(cli, "provisioner", *PATIENT, *SLOW, *only, "--", "node", folder / "provisioner.js")

    assert found == dict.fromkeys(ESSENTIAL, "pass")


def test_program_that_ends_is_told(cli: CommandLine) -> None:
    """The program's last line explains more than silence does."""
    command: Sequence[str] = ("sh", "-c", "echo no such queue; exit 7")

    found = verdicts(cli, "provisioner", "--patience", "3", "--only", "running-first", "--", *command)

    assert found == {"running-first": "the program ended with code 7: no such queue"}


def test_missing_program_is_told(cli: CommandLine) -> None:
    """So does the system's word."""
    done = cli.run("conformance", "provisioner", "--", "/nowhere/provisioner")

    assert done.returncode == 2
    assert done.stderr == "error: /nowhere/provisioner cannot be started: No such file or directory (usage)\n"
