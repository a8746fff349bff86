"""The tool `list_templates` (domain.md 3.7)."""

from typing import Final

from msgspec import Struct

from workspaced.fsm.errors import WorkspacedError
from workspaced.tools import texts
from workspaced.tools.call import ToolCall
from workspaced.tools.result import ToolResult, refused, text_error
from workspaced.tools.templates import listed

NAME: Final = "list_templates"
LAST_PAGE: Final = 2_147_483_647


class ListInput(Struct, frozen=True):
    """What the model gives."""

    query: str | None = None
    page: int | None = None


async def list_templates(call: ToolCall, given: ListInput) -> ToolResult:
    """A page of the templates that the chat may use."""
    if call.client is None:
        return text_error(texts.NOT_CONFIGURED[NAME])
    try:
        found = await call.client.list_templates(
            organization_id=call.organization_id,
            query=given.query,
            page=min(max(given.page or 1, 1), LAST_PAGE),
            visible_only=True,
        )
    except WorkspacedError as error:
        return refused(NAME, error)
    developers = found.active_developers
    return ToolResult(
        {
            "templates": [listed(template, developers.get(template.id, 0)) for template in found.templates],
            "count": found.count,
            "page": found.page,
            "total_pages": found.total_pages,
            "total_count": found.total_count,
        }
    )
