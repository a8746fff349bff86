"""Durations as text, in Go's grammar: `8h`, `1h30m`, `90s`, `250ms` (wire.md section 1, domain.md 4.2)."""

import re
from datetime import timedelta

_MICROSECONDS = {"h": 3.6e9, "m": 6e7, "s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "\u03bcs": 1.0, "ns": 1e-3}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|[µ\u03bc]s|ns)", re.ASCII)
_LONGEST = timedelta(days=36_500)


def parse_duration(text: str) -> timedelta:
    """The duration that `text` names; negative ones are allowed, as in Go. Raises ValueError with the reason."""
    body = text[1:] if text[:1] in {"-", "+"} else text
    if body == "0":
        return timedelta(0)
    microseconds, position = 0.0, 0
    while part := _PART.match(body, position):
        microseconds += float(part[1]) * _MICROSECONDS[part[2]]
        position = part.end()
    if position == 0 or position < len(body):
        reason = "missing unit" if re.fullmatch(r"[\d.]+", body[position:], re.ASCII) else "not a duration"
        raise ValueError(reason)
    if microseconds > _LONGEST / timedelta(microseconds=1):
        reason = "too long"
        raise ValueError(reason)
    return timedelta(microseconds=-microseconds if text.startswith("-") else microseconds)


def format_duration(span: timedelta) -> str:
    """`span` as text without zero units: `2s`, `1m30s`, `500ms`; zero is `0s`."""
    if span < timedelta(0):
        return "-" + format_duration(-span)
    if span < timedelta(seconds=1):
        microseconds = span // timedelta(microseconds=1)
        if microseconds == 0:
            return "0s"
        return f"{microseconds / 1000:g}ms" if microseconds >= _MICROSECONDS["ms"] else f"{microseconds}us"
    hours, rest = divmod(span, timedelta(hours=1))
    minutes, rest = divmod(rest, timedelta(minutes=1))
    seconds = f"{rest.total_seconds():.6f}".rstrip("0").rstrip(".")
    parts = ((str(hours), "h"), (str(minutes), "m"), (seconds, "s"))
    return "".join(number + unit for number, unit in parts if number != "0")
