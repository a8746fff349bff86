"""The names of all headers on the wire, and values made safe for them."""

from typing import Final

MESSAGE_ID: Final = "Nats-Msg-Id"
SERVER_PREFIX: Final = "Nats-"
"""Of the headers that mean something to the server, or that it wrote itself."""
REPLY: Final = "Ws-Reply"
"""On `ws.cmd`: the inbox of the engine that took the request."""
ORGANIZATION: Final = "Ws-Organization"
"""On `ws.cmd`: the organization that the sender of the request is limited to, as NATS has checked."""

SCHEDULE: Final = "Nats-Schedule"
SCHEDULE_TARGET: Final = "Nats-Schedule-Target"

ERROR_CODE: Final = "Nats-Service-Error-Code"
ERROR_TEXT: Final = "Nats-Service-Error"

DEAD_REASON: Final = "Ws-Dead-Reason"
DEAD_DETAIL: Final = "Ws-Dead-Detail"
DEAD_STREAM: Final = "Ws-Dead-Stream"
DEAD_SEQUENCE: Final = "Ws-Dead-Sequence"
DEAD_PREFIX: Final = "Ws-Dead-"
REDRIVEN: Final = "Ws-Redriven"
"""On a message that was put aside and sent again: its sequence in DEAD."""

STATUS: Final = "Status"
DESCRIPTION: Final = "Description"
PENDING: Final = "Nats-Pending-Messages"

CE_ID: Final = "ce-id"
CE_TYPE: Final = "ce-type"
CE_SOURCE: Final = "ce-source"
CE_TIME: Final = "ce-time"
CE_VERSION: Final = "ce-specversion"
TRACEPARENT: Final = "traceparent"

VALUE_LENGTH: Final = 512


def status_of(headers: dict[str, str]) -> str:
    """A status line's number and words; what nats-py takes for words may begin with a line break and headers."""
    words = headers.get(DESCRIPTION, "").partition("\n")[0]
    return f"{headers.get(STATUS, 'no status')} {words}".strip()


def one_line(text: str) -> str:
    """`text` as a header's value: ASCII, one line, at most 512 characters."""
    line = " ".join(text.split()).encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:VALUE_LENGTH]
