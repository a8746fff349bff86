"""The tools as a server of the Model Context Protocol, for one chat or many (wire.md section 7). Needs the extra `mcp`.

The SDK's low-level server, because its other one words results and errors itself.
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.fsm.errors import BadRequest
from workspaced.tools.call import ToolCall, ToolSettings
from workspaced.tools.mcp_identity import Binding, identity, is_child, request_id
from workspaced.tools.offer import definitions, run_tool
from workspaced.tools.result import ToolResult

READ_ONLY: Final = frozenset({"list_templates", "read_template", "get_workspace_build_logs"})


def mcp_server(client: WorkspacedClient, binding: Binding, settings: ToolSettings | None = None) -> Server[Any]:
    """A server whose calls go through `client`; run it over any of the SDK's transports."""

    async def list_tools(context: ServerRequestContext[Any], _: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(each) for each in definitions(child=is_child(binding, _meta(context)))])

    async def call_tool(context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        meta = _meta(context)
        try:
            caller, wanted_id = identity(binding, meta), request_id(meta)
        except BadRequest as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        call = ToolCall(
            client=client,
            chat_id=caller.chat_id,
            owner=caller.owner,
            organization_id=caller.organization_id,
            id=wanted_id,
            child=caller.child,
            settings=settings or ToolSettings(),
        )
        return _result(await run_tool(params.name, call, params.arguments or {}))

    return Server("workspaced", version=version("workspaced"), on_list_tools=list_tools, on_call_tool=call_tool)


def _meta(context: ServerRequestContext[Any]) -> Mapping[str, Any]:
    return context.meta or {}


def _tool(definition: dict[str, Any]) -> Tool:
    reads = definition["name"] in READ_ONLY
    return Tool(
        name=definition["name"],
        description=definition["description"],
        input_schema=definition["input_schema"],
        annotations=ToolAnnotations(read_only_hint=reads, destructive_hint=False, idempotent_hint=True),
    )


def _result(result: ToolResult) -> CallToolResult:
    """A text as it is; an object as JSON in a text, and once more as it is."""
    if isinstance(result.content, str):
        return CallToolResult(content=[TextContent(text=result.content)], is_error=result.is_error)
    text = msgspec.json.encode(result.content).decode()
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=msgspec.json.decode(text), is_error=result.is_error
    )
