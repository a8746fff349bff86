"""How much of a log is kept."""

from datetime import UTC, datetime

import pytest

from workspaced.bus.log_bounds import LINE_LENGTH, LogBounds, cut
from workspaced.bus.messages import LogLine


def a_line(output: str) -> LogLine:
    """A line."""
    return LogLine(datetime(2026, 1, 1, tzinfo=UTC), "build", "info", output, 0)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("", ""),
        ("x" * LINE_LENGTH, "x" * LINE_LENGTH),
        ("é" * (LINE_LENGTH + 2), "é" * LINE_LENGTH + "… (2 more characters)"),
        ("a\x00b", "a\ufffdb"),
        ("a\udc80b", "a?b"),
    ],
)
def test_a_line_is_what_every_reader_can_take(line: str, kept: str) -> None:
    """It is bounded, and has neither a NUL nor half a character."""
    assert cut(line) == kept


def test_a_log_within_bounds_is_whole() -> None:
    """Nothing is left out, nothing comes again."""
    bounds = LogBounds(lines=3, length=100, last=2)
    taken = [bounds.take(a_line(str(number))) for number in range(3)]

    assert (taken, bounds.reached, bounds.end()) == ([True] * 3, False, (0, []))


def test_a_long_log_keeps_its_beginning_and_its_end() -> None:
    """What is between is counted."""
    bounds = LogBounds(lines=3, length=100, last=2)
    taken = [bounds.take(a_line(str(number))) for number in range(10)]
    left_out, last = bounds.end()

    assert (taken, bounds.reached) == ([True] * 3 + [False] * 7, True)
    assert (left_out, [line.output for line in last]) == (5, ["8", "9"])


def test_the_length_counts_too() -> None:
    """Few long lines are as much as many short ones; after the cut no short line slips in."""
    bounds = LogBounds(lines=100, length=10, last=2)
    taken = [bounds.take(a_line(output)) for output in ("12345678", "123", "1")]

    assert taken == [True, False, False]
