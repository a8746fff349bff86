"""Ctrl-C before there is a command line."""

from pathlib import Path

import pytest

from tests.command_line import CommandLine


@pytest.mark.parametrize("module", ["click", "msgspec"])
def test_ctrl_c_while_modules_are_loaded(tmp_path: Path, module: str) -> None:
    """No traceback, and the exit code is that of an interrupt."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")

    done = CommandLine({"PYTHONPATH": str(tmp_path)}).run("ps")

    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
