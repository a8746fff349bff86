"""The tool `create_workspace` (domain.md 3.3)."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import Conflict, WorkspacedError
from workspaced.fsm.ids import canonical
from workspaced.fsm.names import generate_name
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.tools import texts
from workspaced.tools.call import ToolCall
from workspaced.tools.ending import build_error, build_to_report, not_up, readiness, stop_cause
from workspaced.tools.ids import RepeatableIds
from workspaced.tools.result import ToolResult, refused, some, text_error
from workspaced.tools.session import Session

NAME = "create_workspace"


class CreateInput(Struct, frozen=True):
    """What the model gives."""

    template_id: str | None = None
    name: str | None = None
    parameters: dict[str, Any] | None = None
    preset_id: str | None = None


async def create_workspace(call: ToolCall, given: CreateInput) -> ToolResult:
    """Give the chat a workspace, or tell which one it has; returns when it is ready or will not be."""
    if call.client is None:
        return text_error(texts.NOT_CONFIGURED[NAME])
    if not (given.template_id or "").strip():
        return text_error(texts.TEMPLATE_ID_REQUIRED_TO_CREATE)
    try:
        wish = replace(given, template_id=canonical(given.template_id or ""))
    except ValueError as error:
        return text_error(texts.INVALID_TEMPLATE_ID.format(reason=error))
    try:
        async with Session(call, call.client) as session:
            return await _Creation(call, call.client, session, wish).run()
    except WorkspacedError as error:
        return refused(NAME, error)


class _Creation:
    """One call on its way."""

    def __init__(self, call: ToolCall, client: WorkspacedClient, session: Session, wish: CreateInput) -> None:
        self._call, self._client, self._session, self._wish = call, client, session, wish
        self._renamed = False

    async def run(self) -> ToolResult:
        """Send, and send again after each build that was in the way."""
        reply = await self._ask()
        while reply.outcome == "conflict":
            end = await self._session.build_over(reply.build_id)
            if end in {"failed", "unknown"}:
                return build_error(texts.EXISTING_FAILED, stop_cause(self._session.newest), reply.build_id)
            reply = await self._ask()
        if reply.outcome == "stopped":
            return _existing(self._session.newest, status="stopped", message=texts.STOPPED)
        return await self._created(reply) if reply.outcome == "accepted" else await self._found(reply)

    async def _created(self, reply: Reply) -> ToolResult:
        end = await self._session.rest()
        build_id = build_to_report(end, reply.snapshot, reply.build_id)
        if fault := not_up(texts.CREATE_FAILED, "create", end, build_id):
            return fault
        workspace = end.workspace
        name = f"{workspace.owner_name}/{workspace.name}" if workspace else ""
        told = {"created": True, "workspace_name": name} | some(build_id=build_id)
        return ToolResult(told | readiness(end))

    async def _found(self, reply: Reply) -> ToolResult:
        """The chat had a workspace; `reply.build_id` is there while its start build is in flight."""
        before = self._session.newest
        end = await self._session.rest()
        build_id = build_to_report(end, reply.snapshot, reply.build_id)
        if fault := not_up(texts.EXISTING_FAILED, "start", end, build_id):  # found in flight, and a start
            return fault
        lacks = readiness(end)
        if reply.build_id is None:
            return _existing(end, message=_message(before), lacks=lacks)
        if lacks.get("agent_status") == "no_agent":
            lacks = {}
        return _existing(end, message=texts.COMPLETED, build_id=build_id, lacks=lacks)

    async def _ask(self) -> Reply:
        try:
            return await self._session.send(self._send)
        except Conflict as error:
            if self._renamed or all(fault.field != "name" for fault in error.validations):
                raise
        self._renamed = True
        if name := (self._wish.name or "").strip():  # else the engine has made one, and makes another
            self._wish = replace(self._wish, name=generate_name(name, RepeatableIds(self._call.request_id(1))))
        return await self._session.send(self._send)

    async def _send(self, request_id: str) -> Reply:
        return await self._client.create(
            self._call.chat_id,
            owner=self._call.owner,
            organization_id=self._call.organization_id,
            template_id=self._wish.template_id or "",
            name=self._wish.name,
            parameters=self._wish.parameters,
            preset_id=self._wish.preset_id,
            request_id=request_id,
        )


def _message(snapshot: Snapshot) -> str:
    """What a chat with a running workspace is told, by the snapshot of the reply."""
    if snapshot.first_agent is not None:
        return texts.RUNNING if snapshot.first_agent.link == "connected" else texts.CONNECTING
    return texts.CONNECTING if snapshot.state in {State.BINDING, State.CONNECTING} else texts.RUNNING


def _existing(
    snapshot: Snapshot,
    *,
    message: str,
    status: str = "already_exists",
    build_id: str | None = None,
    lacks: dict[str, Any] | None = None,
) -> ToolResult:
    name = snapshot.workspace.name if snapshot.workspace else ""
    told = {"created": False, "workspace_name": name, "status": status, "message": message}
    return ToolResult(told | some(build_id=build_id) | (lacks or {}))
