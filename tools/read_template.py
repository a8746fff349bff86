"""The tool `read_template` (domain.md 3.7)."""

from typing import Any, Final

from msgspec import Struct

from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.ids import canonical
from workspaced.tools import texts
from workspaced.tools.call import ToolCall
from workspaced.tools.result import ToolResult, refused, some, text_error
from workspaced.tools.templates import parameter, preset, read

NAME: Final = "read_template"


class ReadInput(Struct, frozen=True):
    """What the model gives."""

    template_id: str | None = None


async def read_template(call: ToolCall, given: ReadInput) -> ToolResult:
    """One template with its parameters and presets."""
    if call.client is None:
        return text_error(texts.NOT_CONFIGURED[NAME])
    if not (given.template_id or "").strip():
        return text_error(texts.TEMPLATE_ID_REQUIRED)
    try:
        template = await call.client.get_template(canonical(given.template_id or ""))
    except ValueError as error:
        return text_error(texts.INVALID_TEMPLATE_ID.format(reason=error))
    except WorkspacedError as error:
        return refused(NAME, error)
    if template.organization_id != call.organization_id:
        return text_error(texts.TEMPLATE_NOT_FOUND)
    if not template.agents_allowed or template.deprecated:
        return text_error(texts.TEMPLATE_NOT_ALLOWED)
    told: dict[str, Any] = {
        "template": read(template),
        "parameters": [parameter(rule) for rule in template.parameters],
        "parameters_note": texts.PARAMETERS_NOTE,
    }
    return ToolResult(told | some(presets=[preset(given) for given in template.presets]))
