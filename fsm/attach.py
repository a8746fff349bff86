"""The command `attach`: bind the chat to a workspace that exists, or to another chat's (domain.md 2.5)."""

from msgspec.structs import replace

from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import Attach
from workspaced.fsm.errors import BadRequest, NotFound
from workspaced.fsm.facts import Facts
from workspaced.fsm.plan import Plan
from workspaced.fsm.state import WAITING
from workspaced.fsm.world import World


def attach(world: World, chat: Chat, facts: Facts | None, command: Attach, tenant: str | None = None) -> Plan:
    """Bind the chat; its former workspace is not touched. Raises the errors of domain.md 2.5."""
    if (command.workspace_id is None) == (command.from_chat_id is None):
        raise BadRequest("name either workspace_id or from_chat_id", field="workspace_id")
    if command.from_chat_id is not None:
        parent = _parent(world, command.from_chat_id, command.actor_id, tenant)
        return _as_child(world, chat, facts, parent)
    target = world.facts.get(command.workspace_id or "")
    if (
        target is None
        or target.workspace.deleted
        or target.workspace.owner_id != chat.owner_id
        or (tenant is not None and target.workspace.organization_id != tenant)
    ):
        raise BadRequest(
            "Workspace not found or you do not have access to this resource",
            code="workspace_not_found",
            field="workspace_id",
        )
    if target.workspace.organization_id != chat.organization_id:
        raise BadRequest(
            "Workspace does not belong to the specified organization.", code="wrong_organization", field="workspace_id"
        )
    return _bind(chat, facts, target)


def _parent(world: World, parent_id: str, actor_id: str | None, tenant: str | None) -> Chat:
    """Somebody else's is answered like one that is not there."""
    parent = world.chats.get(parent_id)
    if (
        parent is None
        or parent.version == 0
        or actor_id not in {None, parent.owner_id}
        or (tenant is not None and parent.organization_id != tenant)
    ):
        raise NotFound("parent chat is not known", code="parent_not_found", field="from_chat_id")
    return parent


def _as_child(world: World, chat: Chat, facts: Facts | None, parent: Chat) -> Plan:
    child = replace(
        chat,
        parent_chat_id=parent.id,
        owner_id=parent.owner_id,
        owner_name=parent.owner_name,
        organization_id=parent.organization_id,
    )
    target = world.facts_of(parent)
    return _bind(child, facts, None if target is None or target.workspace.deleted else target)


def _bind(chat: Chat, facts: Facts | None, target: Facts | None) -> Plan:
    """(workspace, latest build, null): the machine then walks up to where that workspace stands."""
    workspace_id = target.workspace.id if target else None
    if facts is not None and facts.workspace.id == workspace_id:
        return Plan("exists", chat)
    if chat.state in WAITING:
        return Plan("conflict", chat, build_id=facts.build.id if facts and facts.build else None)
    awaited = target.build.id if target and target.build and target.in_flight else None
    bound = replace(chat, workspace_id=workspace_id, build_id=None, agent_id=None)
    return Plan("accepted", bound, build_id=awaited)
