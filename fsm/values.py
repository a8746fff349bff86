"""The types of single values, shared by every struct: ids, texts and times (wire.md section 1)."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

# Length and pattern together: `$` alone would let a trailing newline through.
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

END = r"$(?!\n)"
"""Of a text, in a pattern without an exact length: Python's `$` alone lets a trailing newline through."""

Id = Annotated[str, Meta(pattern=UUID_PATTERN, min_length=36, max_length=36, description="UUID, canonical lower case")]
RequestId = Annotated[str, Meta(pattern=r"^[!-~]+" + END, min_length=1, max_length=128, description="idempotency key")]
Time = Annotated[datetime, Meta(tz=True)]

Transition = Literal["start", "stop", "delete"]
JobStatus = Literal["pending", "running", "succeeded", "failed", "canceling", "canceled"]
Link = Literal["connecting", "connected", "disconnected", "timeout"]
Lifecycle = Literal[
    "created",
    "starting",
    "start_timeout",
    "start_error",
    "ready",
    "shutting_down",
    "shutdown_timeout",
    "shutdown_error",
    "off",
]
Parameters = dict[str, str]
Connection = tuple[str, int]
"""A connection to NATS: (server id, client id); client ids grow on one server."""
