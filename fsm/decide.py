"""What a command comes to: `decide` finds the row of the decision table; nothing is changed yet."""

from msgspec.structs import replace

from workspaced.fsm.attach import attach
from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import Attach, Cancel, Command, Create, Delete, Restart, Start, Stop, Touch, Unreachable
from workspaced.fsm.create import create
from workspaced.fsm.errors import Conflict, Forbidden, WorkspacedError
from workspaced.fsm.plan import Plan
from workspaced.fsm.use import touch, unreachable
from workspaced.fsm.verbs import cancel, delete, restart, start, stop
from workspaced.fsm.world import World


def decide(world: World, command: Command, tenant: str | None = None) -> Plan:
    """The plan for a command. Raises WorkspacedError in the words of domain.md; the world is unchanged then.

    For `tenant` there is nothing but that organization's; `strangers_refusal` was asked before.
    """
    chat = _chat(world, command)
    facts = world.facts_of(chat)
    match command:
        case Create():
            return create(world, chat, facts, command, tenant)
        case Attach():
            return attach(world, chat, facts, command, tenant)
        case Start():
            return start(world, chat, facts, command)
        case Restart():
            return restart(world, chat, facts, command)
        case Stop():
            return stop(world, chat, facts, command)
        case Delete():
            return delete(world, chat, facts, command)
        case Cancel():
            return cancel(world, chat, facts, command)
        case Unreachable():
            return unreachable(world, chat, facts, command)
        case Touch():
            return touch(world, chat, facts, command)


def _chat(world: World, command: Command) -> Chat:
    """The chat's row, or the row that create and attach make. Only the chat's owner may command it."""
    known = world.chats.get(command.chat_id)
    if isinstance(command, Create | Attach):
        owner = (command.owner.id, command.organization_id)
        if known is not None and owner != (known.owner_id, known.organization_id):
            raise Forbidden
        chat = known or Chat(command.chat_id, command.owner.id, command.owner.name, command.organization_id)
        if known is None and isinstance(command, Create):
            chat = replace(chat, parent_chat_id=command.parent_chat_id)
    elif known is not None:
        chat = known
    elif isinstance(command, Unreachable):
        return Chat(command.chat_id, command.actor_id or "", "", "")
    else:
        raise _nothing_there(command)
    if command.actor_id is not None and command.actor_id != chat.owner_id:
        raise Forbidden
    return chat


def strangers_refusal(world: World, command: Command, tenant: str | None) -> WorkspacedError | None:
    """Why who is limited to the organization `tenant` may not give this command at all; None when they may.

    Somebody else's chat and one that is not there are answered alike, also when they were asked before.
    """
    if tenant is None:
        return None
    known = world.chats.get(command.chat_id)
    own = known is not None and known.organization_id == tenant
    if isinstance(command, Create | Attach):
        return None if command.organization_id == tenant and (own or known is None) else Forbidden()
    return None if own else _nothing_there(command)


def _nothing_there(command: Command) -> Conflict:
    if isinstance(command, Cancel):
        return Conflict("there is nothing to cancel", code="nothing_to_cancel")
    return Conflict("chat has no workspace; use create_workspace first", code="no_workspace")
