"""What a tool gives back, and the shapes of its failures (domain.md 3.2)."""

from typing import Any

from msgspec import Struct

from workspaced.fsm.errors import Unavailable, WorkspacedError
from workspaced.tools import texts


class ToolResult(Struct, frozen=True):
    """A text or a JSON object for the model. A failure with structure is an object with `error`, and no error."""

    content: str | dict[str, Any]
    is_error: bool = False


def text_error(text: str) -> ToolResult:
    """A failure in words."""
    return ToolResult(text, is_error=True)


def some(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """Those of `fields` that hold something; what is empty, false or unknown is left out. Zero is something."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value is not False and value not in ("", (), [], {})
    }


def refused(tool: str, error: WorkspacedError, **more: str) -> ToolResult:
    """What the engine would not do; `more` goes into a structured error."""
    if isinstance(error, Unavailable):
        return text_error(texts.LOAD_CHAT.format(cause=error))
    if error.validations or error.detail:
        faults = [{"field": each.field, "detail": each.detail} for each in error.validations]
        told = {"error": str(error) or texts.REQUEST_FAILED} | some(detail=error.detail, validations=faults)
        return ToolResult(told | more)
    text = str(error) or texts.REQUEST_FAILED
    if error.status == WorkspacedError.status:
        text = texts.INTERNAL.get(tool, "{text}").format(text=text)
    return text_error(text)
