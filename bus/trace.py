"""The trace that work belongs to (W3C Trace Context), carried on: from a request to the command, jobs and pushes.

Set `TRACEPARENT` in the task that asks, and what comes of it names the trace; a provisioner's reports name that of
their job. What cannot be one is left out: others read these headers, and anybody may send one.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

from workspaced.bus import headers

TRACEPARENT: Final[ContextVar[str | None]] = ContextVar("traceparent", default=None)
"""That of the current task: `00-<trace id>-<parent id>-<flags>`, lower-case hex."""

_FORM: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def trace_in(found: Mapping[str, str] | None) -> str | None:
    """The traceparent among a message's headers; None when there is none, or none that is well formed."""
    text = found.get(headers.TRACEPARENT) if found else None
    return text if text and _FORM.fullmatch(text) else None


def trace_header() -> dict[str, str]:
    """The current task's trace as a header; empty without one."""
    text = TRACEPARENT.get()
    return {headers.TRACEPARENT: text} if text else {}
