"""Tables on a terminal: within its width, and nothing of a cell is lost."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaced.app.tables import lay_out

COLUMNS = ("CHAT", "STATE", "")
ROWS = [("6ccf1a1e", "failed", "startup scripts ended in start_error (startup_failed)"), ("7d", "ready", "")]


def lines(width: int, columns: Sequence[str] = COLUMNS, rows: Sequence[Sequence[str]] = ROWS) -> list[str]:
    """As they are printed."""
    return ["".join(line).rstrip() for line in lay_out(columns, rows, width)]


def test_wide() -> None:
    """A line a row."""
    assert lines(80) == [
        "CHAT      STATE",
        "6ccf1a1e  failed  startup scripts ended in start_error (startup_failed)",
        "7d        ready",
    ]


def test_the_last_column_is_wrapped() -> None:
    """In its place, as long as there is room."""
    assert lines(50) == [
        "CHAT      STATE",
        "6ccf1a1e  failed  startup scripts ended in",
        "                  start_error (startup_failed)",
        "7d        ready",
    ]


def test_the_last_column_stands_below() -> None:
    """Where there is no room beside the others."""
    assert lines(41) == [
        "CHAT      STATE",
        "6ccf1a1e  failed",
        "    startup scripts ended in start_error",
        "    (startup_failed)",
        "7d        ready",
    ]


def test_columns_that_stand_below_are_named() -> None:
    """On one line if it holds them."""
    rows = [("12", "bad_body", "x" * 31, "{}"), ("13", "bad_body", "y", "{}")]

    assert lines(45, ("SEQ", "REASON", "SUBJECT", "BODY"), rows) == [
        "SEQ  REASON",
        "12   bad_body",
        f"    SUBJECT {'x' * 31}",
        "    BODY {}",
        "13   bad_body",
        "    SUBJECT y  BODY {}",
    ]


@given(st.lists(st.tuples(*[st.text("ab1-_ ", max_size=70).map(str.strip)] * 3), max_size=4), st.integers(1, 130))
def test_nothing_is_lost(rows: list[tuple[str, str, str]], width: int) -> None:
    """Whatever the width."""
    laid_out = lines(width, ("A", "B", "C"), rows)
    letters = sorted("".join("".join(row) for row in rows).replace(" ", ""))
    shown = "".join(laid_out[1:]).translate(str.maketrans("", "", " ABC"))

    assert letters == sorted(shown)
    assert max(map(len, laid_out)) <= max(width, 40)


@pytest.mark.parametrize("width", [0, 80])
def test_no_rows(width: int) -> None:
    """The names alone."""
    assert lines(width, rows=[]) == ["CHAT  STATE"]
