"""Which rows a batch of inputs concerns."""

from collections.abc import Iterable

from workspaced.fsm.commands import Attach, Command, Create
from workspaced.fsm.create import check_template_id, name_candidates
from workspaced.fsm.effects import ChatDeadline, QueueTurn
from workspaced.fsm.errors import BadRequest
from workspaced.fsm.events import AgentConnected, AgentDisconnected, ConnectionLost
from workspaced.fsm.inputs import Ask, Input, WorkspaceEvent
from workspaced.fsm.queue import AT_ONCE
from workspaced.fsm.rows import Needs, Turns
from workspaced.fsm.settings import Settings
from workspaced.fsm.values import Connection
from workspaced.fsm.world import World


def needs_of(inputs: Iterable[Input], defaults: Settings) -> Needs:
    """The rows to lock and load before the inputs can be decided; every set sorted. `defaults` are the process's."""
    keys: set[str] = set()
    workspaces: set[str] = set()
    chats: set[str] = set()
    connections: set[Connection] = set()
    templates: set[str] = set()
    requests: set[tuple[str, str]] = set()
    turns: set[str] = set()
    for item in inputs:
        keys.add(item.key)
        match item.payload:
            case Ask(command=command):
                chats |= _chats(command)
                requests.add((command.chat_id, command.request_id))
                templates |= _templates(command)
                if isinstance(command, Attach) and command.workspace_id:
                    workspaces.add(command.workspace_id)
            case WorkspaceEvent(workspace_id=workspace_id, event=event):
                workspaces.add(workspace_id)
                if isinstance(event, AgentConnected | AgentDisconnected):
                    connections.add((event.server_id, event.client_id))
            case ConnectionLost(server_id=server_id, client_id=client_id):
                connections.add((server_id, client_id))
            case ChatDeadline(chat_id=chat_id):
                chats.add(chat_id)
            case QueueTurn(workspace_id=workspace_id):
                turns.add(workspace_id)
            case due:
                workspaces.add(due.workspace_id)
    return Needs(
        keys=tuple(sorted(keys)),
        workspaces=tuple(sorted(workspaces)),
        chats=tuple(sorted(chats)),
        connections=tuple(sorted(connections)),
        templates=tuple(sorted(templates)),
        requests=tuple(sorted(requests)),
        turns=_turns(turns, defaults) if turns else None,
    )


def names_asked(world: World, inputs: Iterable[Input], *, generated: bool = True) -> list[tuple[str, str]]:
    """(owner id, lower-case name) of every name that a create may choose; the names are drawn here and kept.

    Without `generated` only of those that somebody gave: the random ones hardly ever clash, and the store refuses
    a batch in which one does.
    """
    asked = []
    for item in inputs:
        if isinstance(item.payload, Ask) and isinstance(command := item.payload.command, Create):
            template = next((world.templates[key] for key in _templates(command) if key in world.templates), None)
            names = name_candidates(world, command, template)
            world.names[command.chat_id, command.request_id] = names
            if generated or names == [(command.name or "").strip()]:
                asked += [(command.owner.id, name.lower()) for name in names]
    return asked


def _turns(workspaces: set[str], defaults: Settings) -> Turns:
    return Turns(tuple(sorted(workspaces)), defaults.builds_per_owner, defaults.builds_per_template, AT_ONCE)


def _chats(command: Command) -> set[str]:
    parent = command.from_chat_id if isinstance(command, Attach) else None
    return {command.chat_id, parent} if parent else {command.chat_id}


def _templates(command: Command) -> set[str]:
    if not isinstance(command, Create):
        return set()
    try:
        return {check_template_id(command.template_id)}
    except BadRequest:
        return set()
