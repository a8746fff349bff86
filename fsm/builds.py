"""Requesting builds: the build's row, its job, and what follows when one ends (domain.md 2.2, 2.4, 4.2)."""

from datetime import timedelta

from msgspec import Raw, Struct
from msgspec.structs import replace

from workspaced.fsm.durations import format_duration
from workspaced.fsm.effects import (
    Effect,
    Job,
    JobLimit,
    JobOwner,
    JobTemplate,
    JobWorkspace,
    PublishJob,
    PurgeJob,
    QueueTurn,
    RevokeAgents,
    SetTimer,
    StopJob,
    WorkspaceExpiry,
)
from workspaced.fsm.facts import QUEUE_TIMEOUT, Build, Facts, Queue, Workspace, job_status, without_next
from workspaced.fsm.reach import Reach, reach
from workspaced.fsm.values import Parameters, Transition
from workspaced.fsm.world import World

Planned = tuple[Facts, tuple[Effect, ...]]


class Wish(Struct, frozen=True):
    """Who wants a build, and with what; parts left out are taken from the build before."""

    initiator: str | None = None
    request_id: str | None = None
    version_id: str | None = None
    preset_id: str | None = None
    parameters: Parameters | None = None


def begin_build(world: World, facts: Facts, transition: Transition, wish: Wish) -> Planned:
    """Facts with a new latest build, and its job on the queue with its pending limit. Its agents are new ones.

    Where builds are limited a start build waits for its turn, and the queue is looked at once that is committed.
    """
    latest, template = facts.build, world.templates.get(facts.workspace.template_id)
    build_id = world.ids.uuid()
    secret_hash = world.secrets.hash_of(build_id) if world.secrets and transition == "start" else None
    build = Build(
        id=build_id,
        workspace_id=facts.workspace.id,
        build_number=latest.build_number + 1 if latest else 1,
        transition=transition,
        job_id=world.ids.uuid(),
        requested_at=world.now,
        provisioner=template.provisioner if template else "local",
        template_version_id=wish.version_id or (latest.template_version_id if latest else None),
        prior_version_id=latest.template_version_id if latest else None,
        prior_build_id=latest.id if latest else None,
        preset_id=wish.preset_id or (latest.preset_id if latest else None),
        parameters=wish.parameters if wish.parameters is not None else (latest.parameters if latest else {}),
        initiator=wish.initiator,
        request_id=wish.request_id,
        agent_secret_hash=secret_hash,
        queue=Queue() if transition == "start" and world.settings.limits_builds else None,
    )
    begun = Facts(replace(without_next(facts.workspace), ttl_at=None), build)
    effects: tuple[Effect, ...] = (look_at_queue(world, build),) if build.queue else request_job(world, begun)
    return begun, effects + revoke_agents(latest, build)


def request_job(world: World, facts: Facts) -> tuple[Effect, ...]:
    """The latest build's job on its provisioner's queue, with its pending limit."""
    build = facts.build
    return (_publish(world, facts.workspace, build), watch_pending(world, build)) if build else ()


def look_at_queue(world: World, build: Build) -> SetTimer:
    """Have the queue of start builds looked at, since `build` joined it or ended."""
    return SetTimer(world.now, QueueTurn(build.workspace_id, build.id))


def revoke_agents(former: Build | None, latest: Build) -> tuple[RevokeAgents, ...]:
    """The agents of a former build that have a secret must go once there is a newer one."""
    if former is None or former.agent_secret_hash is None:
        return ()
    return (RevokeAgents(latest.workspace_id, latest.id),)


def _publish(world: World, workspace: Workspace, build: Build) -> PublishJob:
    return PublishJob(build.provisioner, _job(world, workspace, build), build.agent_secret_hash is not None)


def _job(world: World, workspace: Workspace, build: Build) -> Job:
    template = world.templates.get(workspace.template_id)
    version = world.versions.get(build.template_version_id or "")
    return Job(
        id=f"{workspace.id}:{build.id}",
        at=world.now,
        job_id=build.job_id,
        build_id=build.id,
        build_number=build.build_number,
        transition=build.transition,
        workspace=JobWorkspace(workspace.id, workspace.name, workspace.ttl_ms),
        owner=JobOwner(workspace.owner_id, workspace.owner_name),
        organization_id=workspace.organization_id,
        template=JobTemplate(
            id=workspace.template_id,
            name=template.name if template else "",
            version_id=build.template_version_id,
            source=version.source if version else Raw(b"null"),
        ),
        parameters=build.parameters,
        preset_id=build.preset_id,
        prior_build_id=build.prior_build_id,
    )


def clean_up(world: World, facts: Facts, initiator: str | None) -> Planned:
    """Leave nothing behind: delete a workspace that never was ready, stop one that was (none if stopped already)."""
    if facts.workspace.was_ready:
        return (facts, ()) if is_stopped(facts) else begin_build(world, facts, "stop", Wish(initiator))
    released = replace(facts, workspace=replace(facts.workspace, name_released=True))
    return begin_build(world, released, "delete", Wish(initiator))


def publish_again(world: World, facts: Facts) -> PublishJob | None:
    """The job of a build that waits for a provisioner; its queue was lost with the stream."""
    build = facts.build
    if build is None or build.foreign or build.queue is not None or job_status(build) != "pending":
        return None
    return _publish(world, facts.workspace, build)


def version_to_start(world: World, facts: Facts) -> str | None:
    """The template version of the next start build: the one before's, or the active one (domain.md 2.3)."""
    template, build = world.templates.get(facts.workspace.template_id), facts.build
    before = build.template_version_id if build else None
    if template is not None and (before is None or template.require_active_version):
        return template.active_version_id
    return before


def is_stopped(facts: Facts) -> bool:
    """The last build was a stop, and it succeeded; a failed stop does not count."""
    build = facts.build
    return build is not None and build.transition == "stop" and job_status(build) == "succeeded"


def cancel_job(world: World, facts: Facts) -> Planned:
    """A job nobody took is canceled at once and leaves its queue; whoever works on one is told to stop."""
    build = facts.build
    if build is None or not facts.in_flight or build.canceled_at is not None:
        return facts, ()
    canceled = replace(build, canceled_at=world.now)
    if job_status(build) == "pending":
        canceled = replace(canceled, completed_at=world.now)
        return replace(facts, build=canceled), (PurgeJob(build.provisioner, build.job_id),)
    return replace(facts, build=canceled), (StopJob(build.job_id, build.id, build.workspace_id, "canceled"),)


def end_by_limit(world: World, facts: Facts, due: JobLimit) -> Planned | None:
    """Facts after a job was pending or running for too long; None when that is over (domain.md section 9)."""
    build = facts.build
    if build is None or build.job_id != due.job_id or not facts.in_flight:
        return None
    pending = job_status(build) == "pending"
    if pending != (due.status == "pending"):
        return None
    limit = world.settings.job_pending_limit if pending else world.settings.job_running_limit
    text = f"Build has been detected as {'pending' if pending else 'hung'} for {_minutes(limit)} minutes"
    ended = replace(build, error=text, completed_at=world.now, limited=True)
    stop: Effect = (
        PurgeJob(build.provisioner, build.job_id)
        if pending
        else StopJob(build.job_id, build.id, build.workspace_id, "limit")
    )
    return replace(facts, build=ended), (stop,)


def end_queued(world: World, facts: Facts) -> Facts | None:
    """Facts after a build has waited for its turn for too long; None when it does not wait for one."""
    build = facts.build
    if build is None or build.queue is None:
        return None
    queue, span = build.queue, format_duration(world.settings.queue_deadline)
    text = f"timed out waiting in the queue of workspace builds: not begun within {span}"
    if queue.place:
        text += f", because only {queue.limit} may run at once for this {queue.of}; it joined as number {queue.place}"
    ended = replace(build, error=text, error_code=QUEUE_TIMEOUT, completed_at=world.now, limited=True)
    return replace(facts, build=ended)


def leave_queue(world: World, before: Facts, facts: Facts) -> Planned:
    """Facts whose build is out of the queue if it waits no more; when a start build ends, the queue is looked at."""
    was, build = before.build, facts.build
    if build is not None and build.queue is not None and job_status(build) != "pending":
        facts = replace(facts, build=replace(build, queue=None))
    if was is None or was.transition != "start" or not before.in_flight or not world.settings.limits_builds:
        return facts, ()
    over = build is None or build.id != was.id or not facts.in_flight
    return facts, (look_at_queue(world, was),) if over else ()


def _minutes(span: timedelta) -> int:
    """Minutes, rounded up (wire.md section 5)."""
    return -(-span // timedelta(minutes=1))


def watch_pending(world: World, build: Build) -> SetTimer:
    """The pending limit of a job that has just been requested."""
    due = JobLimit(build.workspace_id, build.job_id, "pending")
    return SetTimer(world.now + world.settings.job_pending_limit, due)


def watch_running(world: World, before: Facts, facts: Facts) -> tuple[Effect, ...]:
    """The running limit of a job that a provisioner has just taken."""
    was_started = before.build is not None and facts.build is not None and before.build.id == facts.build.id
    started_before = before.build.started_at if was_started and before.build else None
    if facts.build is None or not facts.in_flight or facts.build.started_at is None or started_before:
        return ()
    due = JobLimit(facts.workspace.id, facts.build.job_id, "running")
    return (SetTimer(world.now + world.settings.job_running_limit, due),)


def note_ready(world: World, facts: Facts) -> Planned:
    """Facts that remember the build's first `ready`, from which the TTL runs (wire.md section 8)."""
    if facts.build is None or facts.build.ready_at is not None or reach(facts) is not Reach.READY:
        return facts, ()
    build = replace(facts.build, ready_at=world.now)
    return renew_ttl(world, Facts(replace(facts.workspace, was_ready=True), build, facts.agents))


def renew_ttl(world: World, facts: Facts) -> Planned:
    """Facts with the TTL running anew; only a workspace that was ready in its latest build has one."""
    workspace = facts.workspace
    if not workspace.ttl_ms or facts.build is None or facts.build.ready_at is None or workspace.deleted:
        return facts, ()
    ends_at = world.now + timedelta(milliseconds=workspace.ttl_ms)
    renewed = replace(facts, workspace=replace(workspace, ttl_at=ends_at))
    return renewed, (SetTimer(ends_at, WorkspaceExpiry(workspace.id, ends_at)),)


def note_end(facts: Facts) -> Facts:
    """Facts after a build's end, before anything follows: a delete that succeeded, a `next` that cannot follow."""
    build, workspace = facts.build, facts.workspace
    if build is None or facts.in_flight:
        return facts
    succeeded = job_status(build) == "succeeded"
    if build.transition == "delete" and succeeded and not workspace.deleted:
        return replace(facts, workspace=replace(workspace, deleted=True, next=None, ttl_at=None))
    if workspace.next == "start" and not (build.transition == "stop" and succeeded):
        return replace(facts, workspace=without_next(workspace))
    return facts


def late_success(facts: Facts) -> bool:
    """The start build succeeded after it was canceled, so there is something to clean up (domain.md 2.4)."""
    build = facts.build
    return (
        build is not None
        and build.transition == "start"
        and build.reported == "succeeded"
        and job_status(build) == "canceled"
    )


def follow(world: World, facts: Facts) -> Planned:
    """What follows a build that has ended: the noted `next`, or the clean-up of a success after a cancel."""
    build, workspace = facts.build, facts.workspace
    if build is None or facts.in_flight or workspace.deleted:
        return facts, ()
    if workspace.next == "delete":
        return begin_build(world, facts, "delete", Wish(workspace.next_initiator))
    if workspace.next == "start":
        wish = Wish(
            workspace.next_initiator,
            version_id=version_to_start(world, facts),
            parameters=workspace.next_parameters,
        )
        return begin_build(world, facts, "start", wish)
    return clean_up(world, facts, build.initiator) if late_success(facts) else (facts, ())
