"""The tool `stop_workspace` (domain.md 3.6)."""

from msgspec import Struct

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.snapshot import Snapshot
from workspaced.tools import texts
from workspaced.tools.call import ToolCall
from workspaced.tools.ending import build_error, stop_cause
from workspaced.tools.result import ToolResult, refused, text_error
from workspaced.tools.session import Session

NAME = "stop_workspace"


class StopInput(Struct, frozen=True):
    """The model gives nothing."""


async def stop_workspace(call: ToolCall, _given: StopInput) -> ToolResult:
    """Stop the chat's workspace and keep it; returns when it is stopped or will not be."""
    if call.client is None:
        return text_error(texts.NOT_CONFIGURED[NAME])
    try:
        async with Session(call, call.client) as session:
            return await _stop(call, call.client, session)
    except WorkspacedError as error:
        return refused(NAME, error)


async def _stop(call: ToolCall, client: WorkspacedClient, session: Session) -> ToolResult:
    async def send(request_id: str) -> Reply:
        return await client.stop(call.chat_id, request_id=request_id)

    awaited = False
    reply = await session.send(send)
    while reply.outcome in {"attached", "conflict"}:
        awaited = True
        if await session.build_over(reply.build_id) == "unknown":
            return build_error(texts.AWAITED_FAILED, stop_cause(session.newest), reply.build_id)
        reply = await session.send(send)  # whatever that build was: only the engine knows whether a stop is left to do
    if reply.outcome == "stopped":
        # `no_build` means that this call waited for none.
        return _success(session.newest, session.newest.build_id if awaited else None)
    end = await session.build_over(reply.build_id)
    if end in {"failed", "unknown"}:
        return build_error(texts.STOP_FAILED, stop_cause(session.newest), reply.build_id)
    # Superseded: our stop is over and somebody has begun the next build. Stopping that one is not what was asked.
    return _success(session.newest, reply.build_id)


def _success(snapshot: Snapshot, build_id: str | None) -> ToolResult:
    name = snapshot.workspace.name if snapshot.workspace else ""
    told = {"stopped": True, "workspace_name": name}
    return ToolResult(told | ({"no_build": True} if build_id is None else {"build_id": build_id}))
