"""Breaking the product on purpose: each patch of `tests/mutations` makes the test fail that its header names.

A patch is applied to a copy of the product, which PYTHONPATH puts before the installed one, and the named test runs
against that copy. The same test passes on a copy as it is, so that it is the patch which makes it fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "bus", "fsm", "provisioners", "store", "tools")
PATCHES = sorted((ROOT / "tests" / "mutations").glob("*.patch"))


class Mutation(NamedTuple):
    """The header of a patch: the test that must fail, and what its failure must say."""

    patch: Path
    test: str
    complaint: str

    @classmethod
    def of(cls, patch: Path) -> "Mutation":
        """As it stands above the diff, one field a line."""
        head, _, _ = patch.read_text().partition("diff --git ")
        fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
        return cls(patch, fields["Test"], fields["Fails with"])


MUTATIONS = [Mutation.of(patch) for patch in PATCHES]


def a_copy(folder: Path) -> Path:
    """The product's folders as a namespace of their own."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / "workspaced" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(folder: Path, *tests: str) -> tuple[int, dict[str, str]]:
    """The exit code of pytest on the copy in `folder`, and by test what its failure says."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={report}"]
    ran = subprocess.run(
        [*command, *tests],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 1}, ran.stdout + ran.stderr  # else nothing was judged
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314  # pytest wrote it
    return ran.returncode, {
        str(case.get("name")): str(fault.get("message")) for case in cases for fault in case.findall("failure")
    }


def test_without_a_mutation(folder: Path) -> None:
    """The named tests pass on a copy as it is."""
    ran = run(a_copy(folder), *sorted({mutation.test for mutation in MUTATIONS}))

    assert ran == (0, {})


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.patch.stem for mutation in MUTATIONS])
def test_a_mutation_is_caught(folder: Path, mutation: Mutation) -> None:
    """By the test that says so, for the reason given."""
    copy = a_copy(folder)
    applied = subprocess.run(
        ["git", "apply", "--directory=workspaced", mutation.patch],  # noqa: S607  # whichever git there is
        cwd=copy,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, f"{mutation.patch.name} fits no more, write it anew: {applied.stderr}"

    code, failures = run(copy, mutation.test)

    assert code == 1
    assert list(failures) == [mutation.test.rpartition("::")[2]]
    assert mutation.complaint in failures[mutation.test.rpartition("::")[2]]


def test_the_mutations_of_the_promises_are_there() -> None:
    """Those without which the rest proves little."""
    wanted = {"ack_before_commit", "effect_before_commit", "no_version_guard", "deadline_not_restored"}

    assert wanted <= {mutation.patch.stem for mutation in MUTATIONS}
