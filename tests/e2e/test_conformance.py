"""The conformance suites: our own programs and the examples do every duty."""

import os
import re
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.command_line import CommandLine, program
from tests.e2e.node import EXAMPLES
from tests.e2e.verdicts import PATIENT, SLOW, Trials, chosen, trials, verdicts
from tests.npm import needs_node

UNHURRIED = ("--lease", "5")
"""Seconds enough for a busy machine to keep a job."""
PYTHON = (sys.executable, "-P")
OURS = "the local provisioner"
PROGRAMS = (
    pytest.param(OURS, "provisioner", id="local-provisioner"),
    pytest.param("provisioner.py", "provisioner", id="provisioner-in-python"),
    pytest.param("provisioner.js", "provisioner", id="provisioner-in-node", marks=needs_node),
    pytest.param("our agent", "agent", id="our-agent"),
    pytest.param("agent.py", "agent", id="agent-in-python"),
    pytest.param("agent.js", "agent", id="agent-in-node", marks=needs_node),
)


@pytest.fixture(scope="module")
def cli() -> CommandLine:
    """The command line."""
    return CommandLine({"PATH": os.environ["PATH"]})


@pytest.fixture(scope="module")
def suites(
    request: pytest.FixtureRequest, cli: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trials]:
    """The whole suite of each program."""
    workspaces = tmp_path_factory.mktemp("local") / "ws"
    sources = ("--slow-source", '{"build_script": "sleep 60"}', "--failing-source", '{"build_script": "exit 3"}')
    ours = ("provisioner", "--tag", "conformance", "--workspaces", workspaces, "--end-agents")
    with trials(cli) as runs:
        for name in chosen(request, "name"):
            if name == OURS:
                runs.begin(name, "provisioner", *PATIENT, *UNHURRIED, *sources, "--", program(), *ours)
            elif name == "our agent":
                runs.begin(name, "agent", *PATIENT, "--", program(), "agent")
            else:
                in_node = name.endswith(".js")
                script = request.getfixturevalue("node") / name if in_node else EXAMPLES / name
                command = ("node", script) if in_node else (*PYTHON, script)
                of_jobs = (*UNHURRIED, *SLOW) if name.startswith("provisioner") else ()
                runs.begin(name, name.partition(".")[0], *PATIENT, *of_jobs, "--", *command)
        yield runs


def names(cli: CommandLine, what: str) -> list[str]:
    """All checks there are."""
    return [line.split()[0] for line in cli.lines("conformance", what, "--list", "--", "true")]


@pytest.mark.parametrize(("name", "what"), PROGRAMS)
def test_every_duty_is_done(suites: Trials, cli: CommandLine, name: str, what: str) -> None:
    """Nothing fails and nothing is left out."""
    assert suites.of(name) == dict.fromkeys(names(cli, what), "pass")


@pytest.mark.parametrize("example", ["provisioner.py", "agent.py"])
def test_example_is_short(example: str) -> None:
    """Sixty lines of code besides imports show how little it takes, and none of them is ours."""
    code = re.sub(r'""".*?"""', "", (EXAMPLES / example).read_text(), flags=re.DOTALL)

    assert len([line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]) <= 60
    assert "workspaced." not in code


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
