"""The command `create`: the chat's workspace, or a new one (the tables of domain.md 2.2 and 2.6)."""

from datetime import timedelta

from msgspec.structs import replace

from workspaced.fsm.builds import Planned, Wish, begin_build, clean_up, is_stopped
from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import Create
from workspaced.fsm.errors import BadRequest, Conflict, Forbidden, NotFound, Validation
from workspaced.fsm.facts import Agent, Facts, Workspace, agent_link
from workspaced.fsm.ids import canonical
from workspaced.fsm.names import generate_name, name_fault
from workspaced.fsm.parameters import for_create
from workspaced.fsm.plan import Plan
from workspaced.fsm.reach import Reach, reach, selected_agent
from workspaced.fsm.selection import root_agents
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.template import Template
from workspaced.fsm.use import exists
from workspaced.fsm.world import World

GENERATED_TRIES = 4
"""The first generated name, and up to three more when it clashes."""


def create(world: World, chat: Chat, facts: Facts | None, command: Create, tenant: str | None = None) -> Plan:
    """Give the chat a workspace, or tell which one it has. Raises the errors of domain.md 2.6."""
    template_id = _as_seen_by(tenant, world, check_template_id(command.template_id))
    if facts is None or facts.workspace.deleted or facts.build is None:
        return _new(world, chat, facts, command, template_id)
    if chat.state is State.IDLE:
        return _from_idle(world, chat, facts, command, template_id)
    if chat.state in WAITING:
        return Plan("attached", chat, build_id=facts.build.id if facts.in_flight else None)
    if chat.state is State.READY:
        return exists(world, chat, facts)
    return _from_failed(world, chat, facts) or _new(world, chat, facts, command, template_id)


def _as_seen_by(tenant: str | None, world: World, template_id: str) -> str:
    """The same; for who is limited to another organization than the template's, an id that no template has."""
    template = world.templates.get(template_id)
    return template_id if tenant is None or template is None or template.organization_id == tenant else ""


def check_template_id(text: str) -> str:
    """Checks 1 and 2: the canonical id. Raises BadRequest."""
    if not text.strip():
        raise BadRequest(
            "template_id is required; use list_templates to find one", code="invalid_template_id", field="template_id"
        )
    try:
        return canonical(text)
    except ValueError as error:
        raise BadRequest(f"invalid template_id: {error}", code="invalid_template_id", field="template_id") from None


def _from_idle(world: World, chat: Chat, facts: Facts, command: Create, template_id: str) -> Plan:
    if facts.build is not None and facts.in_flight:
        return Plan("conflict", chat, build_id=facts.build.id)
    if is_stopped(facts):
        return Plan("stopped", chat)
    return _new(world, chat, facts, command, template_id)


def _from_failed(world: World, chat: Chat, facts: Facts) -> Plan | None:
    """None when a new workspace takes its place."""
    if facts.in_flight and facts.build is not None:
        return Plan("attached", chat, build_id=facts.build.id, event="retry")
    if chat.failure is None or chat.failure.phase in {State.CREATING, State.BUILDING}:
        return None
    so_far = reach(facts)
    if so_far is Reach.AMBIGUOUS:
        agent, waits = root_agents(facts.agents)[0], False
    elif so_far >= Reach.AWAY and (selected := selected_agent(facts)) is not None:
        agent, waits = selected, True
    else:
        return None
    match agent_link(agent, world.now, world.settings.agent_connection_timeout):
        case "connecting":
            return Plan("attached", chat, event="retry") if waits else exists(world, chat, facts)
        case "connected":
            again = waits and so_far is Reach.STARTING
            return Plan("attached", chat, event="retry") if again else exists(world, chat, facts)
        case "disconnected" if (left := _grace_left(world, agent)) >= timedelta(0):
            if not waits:
                return exists(world, chat, facts)
            return Plan("attached", chat, event="retry", deadline_at=world.now + left)
        case _:
            return None


def _grace_left(world: World, agent: Agent) -> timedelta:
    gone_for = world.now - (agent.disconnected_at or world.now)
    return world.settings.agent_inactive_grace - gone_for


def _new(world: World, chat: Chat, old: Facts | None, command: Create, template_id: str) -> Plan:
    template = _allowed_template(world, chat, template_id)
    preset_id = _known_preset(template, command.preset_id)
    version = world.versions.get(template.active_version_id or "")
    parameters = for_create(version, preset_id, command.parameters)
    replaced, clean_up_effects = _replace(world, chat, old)
    workspace = Workspace(
        id=world.ids.uuid(),
        name=_choose_name(world, command, template, replaced),
        owner_id=chat.owner_id,
        owner_name=chat.owner_name,
        organization_id=chat.organization_id,
        template_id=template.id,
        created_at=world.now,
        ttl_ms=world.settings.workspace_ttl // timedelta(milliseconds=1) or template.default_ttl_ms,
    )
    wish = Wish(chat.owner_id, command.request_id, template.active_version_id, preset_id, parameters)
    made, effects = begin_build(world, Facts(workspace), "start", wish)
    bound = replace(chat, workspace_id=workspace.id, build_id=None, agent_id=None)
    return Plan(
        "accepted",
        bound,
        (*((replaced,) if replaced else ()), made),
        build_id=made.build.id if made.build else None,
        effects=(*clean_up_effects, *effects),
    )


def _replace(world: World, chat: Chat, old: Facts | None) -> Planned | tuple[None, tuple[()]]:
    """The clean-up of the workspace that is replaced; one that another chat is bound to is left alone."""
    if old is None or old.workspace.deleted or old.build is None or old.in_flight:
        return None, ()
    if len(world.chats_of(old.workspace.id)) > 1 or _cleaned_before(old):
        return None, ()
    return clean_up(world, old, chat.owner_id)


def _cleaned_before(old: Facts) -> bool:
    """A clean-up that fails is not repeated (domain.md 2.2)."""
    return old.workspace.name_released


def _allowed_template(world: World, chat: Chat, template_id: str) -> Template:
    """Checks 3 to 6."""
    template = world.templates.get(template_id)
    if template is None or template.deleted:
        raise NotFound("look up template: template not found", code="template_not_found", field="template_id")
    if not template.agents_allowed or template.deprecated:
        raise Forbidden(
            "template not available for chat workspaces; use list_templates to find allowed templates",
            code="template_not_allowed",
            field="template_id",
        )
    if template.organization_id != chat.organization_id:
        raise Forbidden(
            "template belongs to another organization than this chat; use list_templates to find one in this chat's "
            "organization",
            code="wrong_organization",
            field="template_id",
        )
    if template.has_external_agent:
        raise BadRequest(
            "create_workspace cannot create workspaces from templates with externally managed agents; use "
            "list_templates to choose another, or let the user create and start the workspace and then attach it to "
            "this chat",
            code="external_agent",
            field="template_id",
        )
    return template


def _known_preset(template: Template, preset_id: str | None) -> str | None:
    """Check 7; a blank id is none."""
    if preset_id is None or not preset_id.strip():
        return None
    try:
        known_id = canonical(preset_id)
    except ValueError as error:
        raise BadRequest(f"invalid preset_id: {error}", code="invalid_preset_id", field="preset_id") from None
    if all(preset.id != known_id for preset in template.presets):
        raise BadRequest(
            "invalid preset_id: the template has no such preset", code="invalid_preset_id", field="preset_id"
        )
    return known_id


def name_candidates(world: World, command: Create, template: Template | None) -> list[str]:
    """The names that may be chosen, in order: the given one alone when it is valid, else generated ones."""
    given = (command.name or "").strip()
    if given and name_fault(given) is None:
        return [given]
    seed = given or (template.name if template else "")
    return [generate_name(seed, world.ids) for _ in range(GENERATED_TRIES)]


def _choose_name(world: World, command: Create, template: Template, replaced: Facts | None) -> str:
    """Check 9, against the names that the store said are taken and those that this batch has given away."""
    owner_id = command.owner.id
    given_up = replaced.workspace.name.lower() if replaced and replaced.workspace.name_released else None
    candidates = world.names.get((command.chat_id, command.request_id)) or name_candidates(world, command, template)
    for name in candidates:
        if name.lower() == given_up or (owner_id, name.lower()) not in world.taken:
            world.taken.add((owner_id, name.lower()))
            return name
    raise Conflict(
        "a workspace with this name already exists",
        code="name_taken",
        field="name",
        validations=(Validation("name", f"{candidates[0]} is taken"),),
    )
