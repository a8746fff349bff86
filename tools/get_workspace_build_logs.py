"""The tool `get_workspace_build_logs`: the lines of a build, by page (domain.md section 12)."""

from typing import Final

from msgspec import Struct, to_builtins

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.fsm.errors import NotFound, WorkspacedError
from workspaced.fsm.ids import canonical
from workspaced.tools import texts
from workspaced.tools.call import ToolCall
from workspaced.tools.result import ToolResult, refused, text_error

NAME: Final = "get_workspace_build_logs"
LINES: Final = 400
_PAGE: Final = 1000


class LogsInput(Struct, frozen=True):
    """What the model gives."""

    build_id: str | None = None
    after_id: int | None = None


async def get_workspace_build_logs(call: ToolCall, given: LogsInput) -> ToolResult:
    """At most 400 lines of a build of this chat's workspace."""
    if call.client is None:
        return text_error(texts.NOT_CONFIGURED[NAME])
    try:
        asked = canonical(given.build_id) if (given.build_id or "").strip() and given.build_id else None
    except ValueError as error:
        return text_error(texts.INVALID_BUILD_ID.format(reason=error))
    try:
        build_id = (await call.client.get(call.chat_id)).build_id
        if asked is not None and asked != build_id:
            if not await _is_of_chat(call.client, call.chat_id, asked):
                return text_error(texts.BUILD_NOT_FOUND)
            build_id = asked
        if build_id is None:
            return text_error(texts.NO_BUILD)
        page = await call.client.logs(build_id, after=max(given.after_id or 0, 0), limit=LINES)
    except NotFound:
        return text_error(texts.NO_BUILD)
    except WorkspacedError as error:
        return refused(NAME, error)
    lines = [
        {
            "id": line.seq,
            "created_at": to_builtins(line.at),
            "stage": line.stage,
            "level": line.level,
            "output": line.output,
        }
        for line in page.lines
    ]
    return ToolResult({"build_id": build_id, "logs": lines, "has_more": page.has_more, "ended": page.ended})


async def _is_of_chat(client: WorkspacedClient, chat_id: str, build_id: str) -> bool:
    """The chat has passed through that build: a model may name any id, and logs of others are none of its business."""
    after: int | None = 0
    while after is not None:
        page = await client.history(chat_id, after_version=after, limit=_PAGE)
        if any(entry.build_id == build_id for entry in page.transitions):
            return True
        after = page.next
    return False
