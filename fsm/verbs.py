"""The commands on a workspace that exists: start, stop, restart, delete, cancel (the tables of domain.md 2.3, 2.4)."""

from msgspec.structs import replace

from workspaced.fsm.builds import (
    Wish,
    begin_build,
    cancel_job,
    clean_up,
    is_stopped,
    version_to_start,
)
from workspaced.fsm.chat import Chat, Failure
from workspaced.fsm.commands import Cancel, Delete, Restart, Start, Stop
from workspaced.fsm.errors import BadRequest, Conflict, Forbidden
from workspaced.fsm.facts import Build, Facts, without_next
from workspaced.fsm.parameters import for_start
from workspaced.fsm.plan import Plan, own_workspace
from workspaced.fsm.settle import Event
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.use import exists
from workspaced.fsm.values import Parameters, Transition
from workspaced.fsm.world import World


def start(world: World, chat: Chat, known: Facts | None, command: Start) -> Plan:
    """Start the chat's workspace. Raises Conflict without one, BadRequest for parameters."""
    facts = own_workspace(known)
    if chat.state is State.IDLE:
        if facts.in_flight:
            return Plan("conflict", chat, build_id=_id(facts.build))
        return _start(world, chat, facts, command)
    if chat.state in WAITING:
        return Plan("attached", chat, build_id=_id(facts.build) if facts.in_flight else None)
    if chat.state is State.FAILED:
        return _start_failed(world, chat, facts, command)
    return exists(world, chat, facts)


def _start_failed(world: World, chat: Chat, facts: Facts, command: Start) -> Plan:
    if facts.in_flight:
        return Plan("attached", chat, build_id=_id(facts.build), event="retry")
    match chat.failure:
        case Failure(phase=State.CREATING | State.BUILDING) | Failure(code="agents_unknown"):
            return _start(world, chat, facts, command)
        case Failure(phase=State.CONNECTING) | Failure(code="startup_timeout"):
            return Plan("attached", chat, event="retry")
        case _:
            return exists(world, chat, facts)


def _start(world: World, chat: Chat, facts: Facts, command: Start | Restart) -> Plan:
    version_id, parameters = for_next_start(world, facts, command.parameters)
    wish = Wish(chat.owner_id, command.request_id, version_id, parameters=parameters)
    return _build(world, chat, facts, "start", wish)


def for_next_start(world: World, facts: Facts, given: Parameters | None) -> tuple[str | None, Parameters]:
    """The template version and parameters of the next start build (domain.md 2.3, 3.5). Raises BadRequest."""
    build, version_id = facts.build, version_to_start(world, facts)
    try:
        return version_id, for_start(world.versions.get(version_id or ""), build.parameters if build else {}, given)
    except BadRequest as error:
        if build is None or version_id == build.template_version_id:
            raise
        raise BadRequest(
            "the active template version needs other parameters; use read_template to see them and retry "
            "start_workspace with parameters",
            code="updated_version_needs_parameters",
            detail=str(error),
            validations=error.validations,
        ) from None


def stop(world: World, chat: Chat, known: Facts | None, command: Stop) -> Plan:
    """Stop the chat's workspace and keep it. Raises Conflict without one."""
    facts = own_workspace(known)
    if is_stopped(facts):
        return Plan("stopped", chat)
    if facts.in_flight and facts.build is not None:
        if facts.build.transition != "stop":
            return Plan("conflict", chat, build_id=facts.build.id)
        return Plan("attached", chat, (_drop_start(facts),), build_id=facts.build.id)
    return _build(world, chat, facts, "stop", Wish(chat.owner_id, command.request_id))


def restart(world: World, chat: Chat, known: Facts | None, command: Restart) -> Plan:
    """Stop the chat's workspace, then start it. Raises Conflict without one, BadRequest for parameters."""
    facts = own_workspace(known)
    if facts.build is None or is_stopped(facts):
        return _start(world, chat, facts, command)
    if facts.in_flight:
        if facts.build.transition != "stop" or facts.workspace.next == "delete":
            return Plan("conflict", chat, build_id=facts.build.id)
        if facts.workspace.next == "start":
            return Plan("attached", chat, build_id=facts.build.id)
        return Plan("accepted", chat, (_then_start(world, chat, facts, command),), build_id=facts.build.id)
    checked = _then_start(world, chat, facts, command)
    plan = _build(world, chat, facts, "stop", Wish(chat.owner_id, command.request_id))
    stopping = replace(
        plan.facts[0],
        workspace=replace(
            plan.facts[0].workspace,
            next="start",
            next_parameters=checked.workspace.next_parameters,
            next_initiator=chat.owner_id,
        ),
    )
    return replace(plan, facts=(stopping,))


def _then_start(world: World, chat: Chat, facts: Facts, command: Restart) -> Facts:
    _, parameters = for_next_start(world, facts, command.parameters)
    noted = replace(facts.workspace, next="start", next_parameters=parameters, next_initiator=chat.owner_id)
    return replace(facts, workspace=noted)


def delete(world: World, chat: Chat, known: Facts | None, command: Delete) -> Plan:
    """Delete the chat's workspace. Raises Conflict without one."""
    facts = own_workspace(known)
    build, workspace = facts.build, facts.workspace
    if build is None or not facts.in_flight:
        return _build(world, chat, facts, "delete", Wish(chat.owner_id, command.request_id))
    if build.transition == "delete" or workspace.next == "delete":
        return Plan("attached", chat, build_id=build.id)
    noted = replace(workspace, next="delete", next_parameters=None, next_initiator=chat.owner_id)
    facts = replace(facts, workspace=noted)
    if build.transition == "stop":
        return Plan("accepted", chat, (facts,), build_id=build.id)
    canceled, effects = cancel_job(world, facts)
    return Plan("accepted", chat, (canceled,), build_id=build.id, effects=effects)


def cancel(world: World, chat: Chat, facts: Facts | None, _command: Cancel) -> Plan:
    """Give up what is on its way. Raises Conflict (nothing_to_cancel), Forbidden (cancel_not_allowed)."""
    nothing = Conflict("there is nothing to cancel", code="nothing_to_cancel")
    if facts is None or facts.build is None or facts.workspace.deleted:
        raise nothing
    template = world.templates.get(facts.workspace.template_id)
    if template is not None and not template.allow_user_cancel:
        raise Forbidden("this template does not allow canceling", code="cancel_not_allowed")
    if facts.build.transition == "start" and facts.in_flight:
        if facts.build.canceled_at is not None:
            return Plan("attached", chat, build_id=facts.build.id)
        canceled, effects = cancel_job(world, facts)
        # A chat that gave up waits in building for the end of a job that somebody still works on.
        event: Event = "retry" if chat.state is State.FAILED and canceled.in_flight else "observe"
        return Plan("accepted", chat, (canceled,), build_id=facts.build.id, event=event, effects=effects)
    if chat.state in {State.BINDING, State.CONNECTING, State.STARTING}:
        cleaned, effects = clean_up(world, facts, chat.owner_id)
        return Plan("accepted", chat, (cleaned,), build_id=_id(cleaned.build), effects=effects)
    raise nothing


def _build(world: World, chat: Chat, facts: Facts, transition: Transition, wish: Wish) -> Plan:
    begun, effects = begin_build(world, facts, transition, wish)
    return Plan("accepted", chat, (begun,), build_id=_id(begun.build), effects=effects)


def _drop_start(facts: Facts) -> Facts:
    return replace(facts, workspace=without_next(facts.workspace)) if facts.workspace.next == "start" else facts


def _id(build: Build | None) -> str | None:
    return build.id if build else None
