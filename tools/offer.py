"""The tools as a model is offered them, and running one by its name."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from workspaced.tools import texts
from workspaced.tools.call import Arguments, ToolCall
from workspaced.tools.create_workspace import CreateInput, create_workspace
from workspaced.tools.get_workspace_build_logs import LogsInput, get_workspace_build_logs
from workspaced.tools.list_templates import ListInput, list_templates
from workspaced.tools.read_template import ReadInput, read_template
from workspaced.tools.result import ToolResult, text_error
from workspaced.tools.start_workspace import StartInput, start_workspace
from workspaced.tools.stop_workspace import StopInput, stop_workspace

TOOLS: Final[dict[str, tuple[type[msgspec.Struct], Callable[[ToolCall, Any], Awaitable[ToolResult]]]]] = {
    "create_workspace": (CreateInput, create_workspace),
    "start_workspace": (StartInput, start_workspace),
    "stop_workspace": (StopInput, stop_workspace),
    "list_templates": (ListInput, list_templates),
    "read_template": (ReadInput, read_template),
    "get_workspace_build_logs": (LogsInput, get_workspace_build_logs),
}
"""By name: what each is given, and the function."""


def definitions(*, child: bool = False) -> list[dict[str, Any]]:
    """Name, description and input_schema of each tool; a child chat, living in its parent's workspace, gets none."""
    return [] if child else [dict(definition) for definition in texts.DEFINITIONS]


async def run_tool(name: str, call: ToolCall, arguments: Arguments) -> ToolResult:
    """Run a tool with what the model gave; never raises what a model could have caused."""
    if call.child or name not in TOOLS:
        return text_error(texts.UNKNOWN_TOOL.format(name=name))
    kind, tool = TOOLS[name]
    try:
        given = msgspec.convert(dict(arguments), kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half of a surrogate pair is JSON, and no text
        return text_error(texts.INVALID_INPUT.format(fault=error))
    return await tool(call, given)
