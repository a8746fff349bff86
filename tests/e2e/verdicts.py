"""Running `workspaced conformance` and reading what came of each check."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.command_line import CommandLine

SLOW = ("--slow-source", '{"seconds": 60}', "--failing-source", '{"error": "no disk"}')
"""What the example provisioners understand."""
PATIENT: Final = ("--patience", "40")
"""Enough for a busy machine; who does nothing wrong waits for none of it."""
LIMIT = 110
"""Seconds after which a test gives up: all checks take longer than other commands."""
AT_ONCE: Final = 4

Verdicts = dict[str, Any]


def verdicts(cli: CommandLine, *arguments: str | Path) -> Verdicts:
    """What came of each check by its name: `pass`, `skip`, or the reason of a failure."""
    done = cli.run("conformance", *arguments, limit=LIMIT)
    found = read(done.stdout)
    assert done.returncode == int(not set(found.values()) <= {"pass", "skip"}), done.stderr
    return found


def read(text: str) -> Verdicts:
    """What was printed of each check."""
    found: Verdicts = {}
    last = ""
    for line in text.splitlines():
        if match := re.match(r"(pass|fail|skip)  (\S+)", line):
            found[match[2]] = match[1]
            last = match[2]
        elif line.startswith("      ") and found.get(last) == "fail":
            found[last] = line.strip()
    return found


class Wrong(NamedTuple):
    """A program with a fault, the check that sees it, and a part of the reason."""

    check: str
    reason: str
    fault: dict[str, str]
    """What stands in place of which code."""

    def written(self, code: str, path: Path) -> Path:
        """The program."""
        assert [part for part in self.fault if part not in code] == []
        parts = re.split(f"({'|'.join(map(re.escape, self.fault))})", code)
        path.write_text("".join(self.fault.get(part, part) for part in parts))
        return path

    def checks(self, needs: Mapping[str, str]) -> list[str]:
        """The check, after that which it needs."""
        return [*([needs[self.check]] if self.check in needs else ()), self.check]


class Trials:
    """Runs of the suites in the background, some at once: they take little but time."""

    def __init__(self, cli: CommandLine, pool: ThreadPoolExecutor) -> None:
        self._cli, self._pool = cli, pool
        self._runs: dict[str, Future[Verdicts]] = {}

    def begin(self, name: str, *arguments: str | Path) -> None:
        """Run it when those before it leave room."""
        self._runs[name] = self._pool.submit(verdicts, self._cli, *arguments)

    def of(self, name: str) -> Verdicts:
        """What came of it."""
        return self._runs[name].result(LIMIT)


@contextmanager
def trials(cli: CommandLine) -> Iterator[Trials]:
    """What has not begun when the block ends is not run."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield Trials(cli, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def chosen(request: pytest.FixtureRequest, argument: str) -> list[str]:
    """The values of a parameter with which tests of this module run, in their order."""
    tests = [item for item in request.session.items if item.path == request.path]
    return [item.callspec.params[argument] for item in tests if argument in getattr(item, "fixturenames", ())]  # type: ignore[attr-defined]  # parametrized
