"""Durations in Go's grammar, both ways (wire.md section 1)."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaced.fsm.durations import format_duration, parse_duration

PARSED = [
    ("8h", timedelta(hours=8)),
    ("1h30m", timedelta(minutes=90)),
    ("90s", timedelta(seconds=90)),
    ("250ms", timedelta(milliseconds=250)),
    ("1.5h", timedelta(minutes=90)),
    (".5s", timedelta(milliseconds=500)),
    ("1.s", timedelta(seconds=1)),
    ("100us", timedelta(microseconds=100)),
    ("100µs", timedelta(microseconds=100)),
    ("100\u03bcs", timedelta(microseconds=100)),
    ("2000ns", timedelta(microseconds=2)),
    ("0", timedelta(0)),
    ("+0", timedelta(0)),
    ("-5s", timedelta(seconds=-5)),
    ("+5s", timedelta(seconds=5)),
    ("1m1m", timedelta(minutes=2)),
]


@pytest.mark.parametrize(("text", "span"), PARSED)
def test_what_is_a_duration(text: str, span: timedelta) -> None:
    """As Go reads it."""
    assert parse_duration(text) == span


@pytest.mark.parametrize("text", ["", "8", "h", "8x", "8h ", " 8h", "1h-5m", "--1s", "٣s", ".s", "1e3s", "inf", "nans"])
def test_what_is_none(text: str) -> None:
    """It is refused with a reason."""
    with pytest.raises(ValueError, match=r"missing unit|not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 400 + "h", "1000000h"])
def test_what_is_too_long(text: str) -> None:
    """A hundred years are enough; no number is too large to be refused."""
    with pytest.raises(ValueError, match="too long"):
        parse_duration(text)


def test_a_number_without_unit_is_told_so() -> None:
    """The commonest mistake."""
    with pytest.raises(ValueError, match="missing unit"):
        parse_duration("30")


FORMATTED = [
    (timedelta(0), "0s"),
    (timedelta(seconds=2), "2s"),
    (timedelta(seconds=90), "1m30s"),
    (timedelta(minutes=10), "10m"),
    (timedelta(hours=8), "8h"),
    (timedelta(hours=1, seconds=5), "1h5s"),
    (timedelta(days=2), "48h"),
    (timedelta(milliseconds=500), "500ms"),
    (timedelta(milliseconds=1500), "1.5s"),
    (timedelta(microseconds=7), "7us"),
    (timedelta(seconds=-90), "-1m30s"),
]


@pytest.mark.parametrize(("span", "text"), FORMATTED)
def test_a_duration_as_text(span: timedelta, text: str) -> None:
    """Without zero units."""
    assert format_duration(span) == text


@given(st.timedeltas(timedelta(days=-30_000), timedelta(days=30_000)))
def test_both_ways_are_inverse(span: timedelta) -> None:
    """To the microsecond."""
    assert parse_duration(format_duration(span)) == span


@given(st.text(alphabet="0123456789.hmsuµn+-", max_size=12))
def test_any_text_has_an_answer(text: str) -> None:
    """A duration or a reason, never another exception."""
    with suppress(ValueError):
        assert isinstance(parse_duration(text), timedelta)
