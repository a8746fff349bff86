"""The tool `start_workspace` (domain.md 3.5)."""

from typing import Any

from msgspec import Struct

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.snapshot import Snapshot
from workspaced.tools import texts
from workspaced.tools.call import ToolCall
from workspaced.tools.ending import build_error, build_to_report, not_up, readiness, stop_cause
from workspaced.tools.result import ToolResult, refused, text_error
from workspaced.tools.session import Session

NAME = "start_workspace"


class StartInput(Struct, frozen=True):
    """What the model gives."""

    parameters: dict[str, Any] | None = None


async def start_workspace(call: ToolCall, given: StartInput) -> ToolResult:
    """Start the chat's workspace; returns when it is ready or will not be."""
    if call.client is None:
        return text_error(texts.NOT_CONFIGURED[NAME])
    try:
        async with Session(call, call.client) as session:
            return await _start(call, call.client, session, given)
    except WorkspacedError as error:
        structured = bool(error.validations or error.detail)
        return refused(NAME, error, **(await _template_of(call.client, call.chat_id) if structured else {}))


async def _start(call: ToolCall, client: WorkspacedClient, session: Session, given: StartInput) -> ToolResult:
    async def send(request_id: str) -> Reply:
        return await client.start(call.chat_id, parameters=given.parameters, request_id=request_id)

    awaited = False
    reply = await session.send(send)
    while reply.outcome == "conflict":
        awaited = True
        end = await session.build_over(reply.build_id)
        if end in {"failed", "unknown"}:
            return build_error(texts.AWAITED_FAILED, stop_cause(session.newest), reply.build_id)
        reply = await session.send(send)
    snapshot = await session.rest()
    build_id = build_to_report(snapshot, reply.snapshot, reply.build_id)
    prefix = texts.START_FAILED if reply.outcome == "accepted" else texts.AWAITED_FAILED
    if fault := not_up(prefix, "start", snapshot, build_id):
        return fault
    if build_id is None and awaited:
        build_id = snapshot.build_id  # not `no_build`: this call did wait for a build
    return ToolResult(_success(snapshot, build_id) | readiness(snapshot))


def _success(snapshot: Snapshot, build_id: str | None) -> dict[str, Any]:
    workspace = snapshot.workspace
    told: dict[str, Any] = {"started": True, "workspace_name": workspace.name if workspace else ""}
    if build_id is None:
        return told | {"no_build": True}
    told["build_id"] = build_id
    if workspace is not None and workspace.updated_to_active_version:
        told |= {"updated_to_active_version": True, "update_reason": texts.UPDATE_REASON, "message": texts.UPDATED}
    return told


async def _template_of(client: WorkspacedClient, chat_id: str) -> dict[str, str]:
    """The field `template_id` of a structured error, so that the model can read what the template needs."""
    try:
        workspace = (await client.get(chat_id)).workspace
    except WorkspacedError:
        return {}
    return {"template_id": workspace.template_id} if workspace else {}
