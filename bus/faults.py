"""Errors on the wire: `Nats-Service-Error-Code`, `Nats-Service-Error` and a JSON body, written and read."""

from typing import Final

from nats.aio.msg import Msg

from workspaced.bus.codec import decode, encode
from workspaced.bus.headers import ERROR_CODE, ERROR_TEXT, one_line
from workspaced.fsm.errors import (
    BadRequest,
    Conflict,
    ErrorBody,
    Forbidden,
    NotFound,
    Unavailable,
    WorkspacedError,
)

_BY_STATUS: Final[dict[int, type[WorkspacedError]]] = {
    kind.status: kind for kind in (BadRequest, Forbidden, NotFound, Conflict, Unavailable)
}
INTERNAL: Final = 500


def error_headers(status: int, body: ErrorBody) -> dict[str, str]:
    """The headers that make a message an error (ADR-32)."""
    return {ERROR_CODE: str(status), ERROR_TEXT: one_line(body.error)}


def for_the_wire(error: BaseException) -> tuple[int, ErrorBody]:
    """Status and body that a caller may see of `error`; whatever is not ours to tell is a bare 500."""
    if isinstance(error, WorkspacedError) and error.status != INTERNAL:
        return error.status, error.body()
    hidden = WorkspacedError()
    return hidden.status, hidden.body()


def encode_error(status: int, body: ErrorBody) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error message."""
    return encode(body), error_headers(status, body)


def error_in(message: Msg) -> WorkspacedError | None:
    """The error that `message` carries, of the class that was raised at the other end; None for a good answer."""
    status = (message.headers or {}).get(ERROR_CODE)
    if status is None:
        return None
    try:
        body = decode(message.data, ErrorBody)
    except ValueError:  # an error of the client library itself, without our body
        body = ErrorBody("internal", (message.headers or {}).get(ERROR_TEXT, ""))
    return error_of(int(status) if status.isdecimal() else INTERNAL, body)


def error_of(status: int, body: ErrorBody) -> WorkspacedError:
    """The error that stood behind `status` and `body`."""
    kind = _BY_STATUS.get(status, WorkspacedError)
    return kind(body.error, code=body.code, field=body.field, detail=body.detail, validations=body.validations)
