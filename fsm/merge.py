"""How messages change facts: monotone rules, so that order, repetition and delay do not matter (domain.md 6).

A report that comes too late changes nothing and says why in `Merged.stale`. A report that contradicts the rows is
refused with `UndecodableMessage`. Agents' reports are in `merge_agent.py`.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from workspaced.fsm.builds import revoke_agents
from workspaced.fsm.effects import Effect, PurgeJob, StopJob
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import ERROR_LENGTH, AgentReport, BuildCreated, JobChanged, JobReport
from workspaced.fsm.facts import IN_FLIGHT, Agent, Build, Facts, job_status, without_next

_RANK = {"pending": 0, "running": 1, "canceling": 2, "succeeded": 3, "failed": 3, "canceled": 3}
_TERMINAL = 3


class Merged(Struct, frozen=True):
    """Facts after a report."""

    facts: Facts
    stale: str | None = None
    """Why the report changed nothing."""
    effects: tuple[Effect, ...] = ()
    closed: Build | None = None
    """An older build that the report ended; it is not among the facts any more."""


def merge_job(facts: Facts, changed: JobChanged, at: datetime) -> Merged:
    """Facts after a provisioner's report on a job. Raises UndecodableMessage (mismatch)."""
    build, report = facts.build, changed.report
    if build is None or not _names(build, report):
        outdated = build is not None and changed.status == "running" and report.build_number < build.build_number
        late = (StopJob(report.job_id, report.build_id, facts.workspace.id, "late"),) if outdated else ()
        return Merged(facts, stale="an older or unknown build", effects=late)
    status = job_status(build)
    if status not in IN_FLIGHT:
        return _after_the_end(facts, build, changed, at)
    if report.attempt < build.attempt:
        return Merged(facts, stale="a lower attempt")
    ahead = _RANK[changed.status] - _RANK[status]
    if ahead < 0 or (ahead == 0 and report.attempt == build.attempt):
        told_again = changed.status == "running" and status == "canceling"
        stop = (StopJob(build.job_id, build.id, build.workspace_id, "canceled"),) if told_again else ()
        return Merged(facts, stale="a lower or repeated job status", effects=stop)
    return Merged(_reported(facts, build, changed, at))


def _names(build: Build, report: JobReport | BuildCreated) -> bool:
    told = (report.build_number, report.build_id, report.job_id)
    known = (build.build_number, build.id, build.job_id)
    if told == known:
        return True
    if any(mine == theirs for mine, theirs in zip(known, told, strict=True)):
        raise UndecodableMessage("mismatch", "build_id, build_number and job_id do not belong together")
    return False


def _reported(facts: Facts, build: Build, changed: JobChanged, at: datetime) -> Facts:
    report, status = changed.report, changed.status
    build = replace(
        build, reported=status, attempt=max(report.attempt, build.attempt), worker=report.worker or build.worker
    )
    match status:
        case "running":
            build = replace(build, started_at=build.started_at or at)
        case "canceling":
            build = replace(build, started_at=build.started_at or at, canceled_at=build.canceled_at or at)
        case "canceled":
            build = replace(build, canceled_at=build.canceled_at or at, completed_at=at)
        case "succeeded":
            build = replace(build, started_at=build.started_at or at, completed_at=at)
        case "failed":
            build = replace(
                build,
                completed_at=at,
                error=report.error[:ERROR_LENGTH],
                error_code=report.error_code,
                retryable=report.retryable,
                quota=report.quota,
            )
        case _:
            pass
    facts = replace(facts, build=build)
    return _announce_agents(facts, report.agents, at) if status == "succeeded" else facts


def _after_the_end(facts: Facts, build: Build, changed: JobChanged, at: datetime) -> Merged:
    """The first terminal report is final, with the two exceptions of domain.md 6.1."""
    if _RANK[changed.status] == _TERMINAL and _RANK[build.reported] < _TERMINAL:
        # The engine ended it, by a limit or by canceling a job that nobody seemed to have taken.
        reopened = replace(build, limited=False, error="", error_code=None, completed_at=None)
        return Merged(_reported(facts, reopened, changed, at))
    if changed.status == "succeeded" and job_status(build) == "succeeded" and not build.agents_told:
        told = _announce_agents(facts, changed.report.agents, at)
        if told is not facts:
            return Merged(told)
    if changed.status == "running" and (build.limited or job_status(build) == "canceled"):
        stop = StopJob(build.job_id, build.id, build.workspace_id, "limit" if build.limited else "canceled")
        return Merged(facts, stale="the job is over", effects=(stop,))
    return Merged(facts, stale="the job is over")


def _announce_agents(facts: Facts, reports: tuple[AgentReport, ...] | None, at: datetime) -> Facts:
    build = facts.build
    if build is None or reports is None or build.transition != "start":
        return facts
    told = {report.id: report for report in reports}
    early = {agent.id: agent for agent in facts.agents}
    announced = [_announced(early.get(key), report, build, at) for key, report in told.items()]
    others = [agent for key, agent in early.items() if key not in told]
    return replace(facts, build=replace(build, agents_told=True), agents=(*announced, *others))


def _announced(early: Agent | None, report: AgentReport, build: Build, at: datetime) -> Agent:
    agent = early or Agent(id=report.id, workspace_id=build.workspace_id, build_id=build.id, created_at=at)
    return replace(
        agent,
        announced=True,
        name=report.name,
        parent_id=report.parent_id,
        display_order=report.display_order,
        external=report.external,
        connection_timeout_seconds=report.connection_timeout_seconds,
        troubleshooting_url=report.troubleshooting_url,
        created_at=report.created_at or at,
    )


def merge_build(facts: Facts, created: BuildCreated, at: datetime) -> Merged:
    """Facts after somebody else began a build: a number above the latest becomes the latest (domain.md 6.1)."""
    latest, workspace = facts.build, facts.workspace
    if workspace.deleted:
        return Merged(facts, stale="the workspace was deleted")
    if latest is not None and (_names(latest, created) or created.build_number < latest.build_number):
        return Merged(facts, stale="not newer than the latest build")
    build = Build(
        id=created.build_id,
        workspace_id=workspace.id,
        build_number=created.build_number,
        transition=created.transition,
        job_id=created.job_id,
        requested_at=at,
        foreign=True,
        provisioner=latest.provisioner if latest else "local",
        template_version_id=created.template_version_id or (latest.template_version_id if latest else None),
        prior_version_id=latest.template_version_id if latest else None,
        prior_build_id=latest.id if latest else None,
        parameters=created.parameters if created.parameters is not None else (latest.parameters if latest else {}),
        initiator=created.initiator,
    )
    if workspace.next == "start":
        workspace = without_next(workspace)
    newer = Facts(replace(workspace, ttl_at=None), build)
    if latest is None or not facts.in_flight:
        return Merged(newer, effects=revoke_agents(latest, build))
    closed = replace(latest, queue=None, canceled_at=latest.canceled_at or at, completed_at=at)
    purge = PurgeJob(latest.provisioner, latest.job_id)
    stop = StopJob(latest.job_id, latest.id, workspace.id, "late")
    over = purge if job_status(latest) == "pending" else stop
    return Merged(newer, effects=(over, *revoke_agents(latest, build)), closed=closed)
