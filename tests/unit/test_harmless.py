"""What texts of others may do to a terminal and to a log: be read."""

import io
import json
import logging
from collections.abc import Callable

import pytest

from workspaced.app.harmless import coloured_line, escaped, harmless, one_line
from workspaced.app.logs import FORMAT, Lines
from workspaced.app.render import print_fields, print_json, say
from workspaced.app.tables import print_table

NASTY = "\x1b]0;pwned\x07\x1b[2J\x9b31m\r\nready: all is well\u202egnp.exe\u2066\u2028\x00\x7f"
"""Renames the window, erases, recolours, forges a line, turns the direction of reading."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext ä", "plain\ttext ä"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[31mred", "\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("\x1b[2Jgone\r\n", "\ufffd[2Jgone\ufffd\ufffd"),
        ("\x9b2J", "\ufffd2J"),
        ("abc\u202edef", "abc\ufffddef"),
    ],
)
def test_a_line_of_a_log(text: str, shown: str) -> None:
    """It keeps its colours, and keeps them to itself."""
    assert coloured_line(text) == shown


def test_everything_else_is_plain() -> None:
    """Lines stay where there may be several, else they are one."""
    assert harmless(NASTY).count("\n") == 1
    assert one_line(NASTY) == one_line(NASTY).replace("\n", "")
    for text in (harmless(NASTY).replace("\n", ""), one_line(NASTY)):
        assert text.isprintable()


def test_json_means_the_same() -> None:
    """And is printable."""
    text = escaped(json.dumps({"a": NASTY}, ensure_ascii=False))

    assert text.isprintable()
    assert json.loads(text) == {"a": NASTY}


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, fields and lines, and JSON: as many lines as there should be, all printable."""
    shown: tuple[Callable[[], None], ...] = (
        lambda: say(NASTY),
        lambda: print_table(("A",), [(NASTY,)], ""),
        lambda: print_fields([("a", NASTY)]),
    )
    for show in shown:
        show()
        said = capsys.readouterr().out
        assert "well" in said
        assert said.replace("\n", "").isprintable()
        assert "\nready" not in said


def test_json_is_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """On one line, without what a terminal acts upon."""
    print_json({"a": NASTY})
    said = capfdbinary.readouterr().out.decode()

    assert said.removesuffix("\n").isprintable()


def test_a_record_is_one_line() -> None:
    """And of a traceback no line begins where ours do."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(Lines(FORMAT))
    log = logging.getLogger("workspaced.test")
    log.addHandler(handler)
    log.warning("refused: %s", NASTY)
    log.error("failed", exc_info=ValueError(NASTY))
    log.removeHandler(handler)
    lines = written.getvalue().split("\n")

    assert [line[:4] for line in lines[2:-1]] == ["    "] * (len(lines) - 3)
    assert "refused: " in lines[0]
    assert "failed" in lines[1]
    assert all(line.isprintable() for line in lines)
