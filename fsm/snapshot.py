"""What anyone may see of a chat: the snapshot (design.md section 4, domain.md section 1, wire.md section 3)."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from workspaced.fsm.chat import Cause, Chat, Failure
from workspaced.fsm.facts import IN_FLIGHT, Agent, Facts, Queue, agent_link, agent_link_since, job_status
from workspaced.fsm.selection import root_agents
from workspaced.fsm.state import State
from workspaced.fsm.values import JobStatus, Lifecycle, Link, Transition

WaitingFor = Literal["queue", "provisioner", "build", "agents", "agent", "startup_scripts", "stop", "delete"]


class WorkspaceView(Struct, frozen=True):
    """The bound workspace with its latest build."""

    id: str
    name: str
    owner_id: str
    owner_name: str
    organization_id: str
    template_id: str
    template_version_id: str | None
    transition: Transition | None
    build_number: int | None
    job_status: JobStatus | None
    deleted: bool
    updated_to_active_version: bool
    job_error: str | None = None
    next: str | None = None


class AgentView(Struct, frozen=True):
    """The bound agent; its link is the one at the snapshot's time."""

    name: str
    external: bool
    link: Link
    link_since: datetime


class Typical(Struct, frozen=True):
    """How long the current state took for this template."""

    p50_ms: int
    p95_ms: int


class Snapshot(Struct, frozen=True):
    """A chat at one version."""

    chat_id: str
    version: int
    state: State
    entered_at: datetime
    deadline_at: datetime | None
    waiting_for: WaitingFor | None
    workspace: WorkspaceView | None
    build_id: str | None
    agent_id: str | None
    lifecycle: Lifecycle | None
    agent: AgentView | None
    failure: Failure | None
    cause: Cause | None
    typical: Typical | None = None
    first_agent: AgentView | None = None
    """When the agents did not say which of them it is (`selection_error`): the first of them, which is not bound."""
    queue: Queue | None = None
    """Where its build stands that waits for a limit; a push tells the place that it had when it joined."""


_WAITING_FOR: dict[State, WaitingFor] = {
    State.CREATING: "provisioner",
    State.BUILDING: "build",
    State.BINDING: "agents",
    State.CONNECTING: "agent",
    State.STARTING: "startup_scripts",
}


def take_snapshot(
    chat: Chat, facts: Facts | None, now: datetime, default_timeout: timedelta, typical: Typical | None = None
) -> Snapshot:
    """The chat as anyone may see it at `now`; `facts` are those of the chat's workspace, None without one."""
    agent = facts.agent(chat.agent_id) if facts else None
    first = first_agent(chat, facts)
    return Snapshot(
        chat_id=chat.id,
        version=chat.version,
        state=chat.state,
        entered_at=chat.entered_at or now,
        deadline_at=chat.deadline_at,
        waiting_for=_waiting_for(chat, facts),
        workspace=_workspace(facts) if facts else None,
        build_id=facts.build.id if facts and facts.build and not facts.workspace.deleted else None,
        agent_id=chat.agent_id,
        lifecycle=agent.lifecycle if agent else None,
        agent=_view(agent, now, default_timeout) if agent else None,
        failure=chat.failure,
        cause=chat.cause,
        typical=typical,
        first_agent=_view(first, now, default_timeout) if first else None,
        queue=facts.build.queue if facts and facts.build and facts.build.queue and facts.build.queue.place else None,
    )


def first_agent(chat: Chat, facts: Facts | None) -> Agent | None:
    """The agent that is shown in place of a bound one: the first, where none could be chosen."""
    if facts is None or chat.failure is None or chat.failure.code != "selection_error":
        return None
    return next(iter(root_agents(facts.agents)), None)


def _view(agent: Agent, now: datetime, default_timeout: timedelta) -> AgentView:
    return AgentView(
        name=agent.name,
        external=agent.external,
        link=agent_link(agent, now, default_timeout),
        link_since=agent_link_since(agent, now, default_timeout),
    )


def _waiting_for(chat: Chat, facts: Facts | None) -> WaitingFor | None:
    if chat.state is State.CREATING and facts is not None and facts.build is not None and facts.build.queue:
        return "queue"
    if chat.state is not State.IDLE:
        return _WAITING_FOR.get(chat.state)
    if facts is None or facts.build is None or job_status(facts.build) not in IN_FLIGHT:
        return None
    return None if facts.build.transition == "start" else facts.build.transition


def _workspace(facts: Facts) -> WorkspaceView:
    workspace, build = facts.workspace, facts.build
    before, after = (build.prior_version_id, build.template_version_id) if build else (None, None)
    return WorkspaceView(
        id=workspace.id,
        name=workspace.name,
        owner_id=workspace.owner_id,
        owner_name=workspace.owner_name,
        organization_id=workspace.organization_id,
        template_id=workspace.template_id,
        template_version_id=after,
        transition=build.transition if build else None,
        build_number=build.build_number if build else None,
        job_status=job_status(build) if build else None,
        deleted=workspace.deleted,
        updated_to_active_version=before is not None and after is not None and before != after,
        job_error=(build.error or None) if build else None,
        next=workspace.next,
    )
