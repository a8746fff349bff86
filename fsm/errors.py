"""Every error there is. The docstring is the message; details are attributes; status and word are stable for good.

WorkspacedError        500 internal
├── BadRequest         400 bad_request, or the word given    .field .detail .validations
├── Forbidden          403 not_owner, …                      .field
├── NotFound           404 chat_not_found, …                 .field
├── Conflict           409 request_id_reused, …              .field .validations
├── Unavailable        503 unavailable
└── VersionConflict    never on the wire: the batch is decided again
    UndecodableMessage never on the wire: the message goes to DEAD with its reason
"""

from typing import ClassVar

import msgspec


class Validation(msgspec.Struct, frozen=True):
    """One fault of one field."""

    field: str
    detail: str


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it stands on the wire (wire.md section 2)."""

    code: str
    error: str
    field: str | None = None
    detail: str | None = None
    validations: tuple[Validation, ...] = ()


class WorkspacedError(Exception):
    """something went wrong inside workspaced; the operator's log has the cause"""

    status: ClassVar[int] = 500
    code: str = "internal"

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        field: str | None = None,
        detail: str | None = None,
        validations: tuple[Validation, ...] = (),
    ) -> None:
        """Without `message` the class's docstring speaks."""
        super().__init__(message or self.__doc__)
        self.code = code or self.code
        self.field = field
        self.detail = detail
        self.validations = validations

    def body(self) -> ErrorBody:
        """What a caller may see of it."""
        return ErrorBody(self.code, str(self), self.field, self.detail, self.validations)


class BadRequest(WorkspacedError):
    """the request is not well formed"""

    status = 400
    code = "bad_request"


class Forbidden(WorkspacedError):
    """only the chat's owner may do this"""

    status = 403
    code = "not_owner"


class NotFound(WorkspacedError):
    """there is no such chat; create_workspace or attach makes one"""

    status = 404
    code = "chat_not_found"


class Conflict(WorkspacedError):
    """this request_id was used for another request; use a fresh one"""

    status = 409
    code = "request_id_reused"


class Unavailable(WorkspacedError):
    """the store is away; try again with the same request_id"""

    status = 503
    code = "unavailable"


class VersionConflict(WorkspacedError):
    """somebody else moved a row first; the batch is decided again"""


class UndecodableMessage(WorkspacedError):
    """nobody can use this message"""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`reason` is a word of wire.md section 4 (`not_json`, `mismatch`, …), `detail` says more."""
        super().__init__(f"{reason}: {detail}" if detail else reason, detail=detail)
        self.reason = reason
