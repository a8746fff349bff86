"""Builders for tests of the core: rows and reports, each named after what it builds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from workspaced.fsm.events import AgentReport, JobChanged, JobReport
from workspaced.fsm.facts import Agent, Build, Facts, Workspace
from workspaced.fsm.template import Parameter, Preset, Template, TemplateVersion
from workspaced.fsm.values import JobStatus, Transition

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_id(number: int) -> str:
    """A UUID that sorts by `number`."""
    return str(UUID(int=number))


ORGANIZATION, OWNER, TEMPLATE, VERSION = an_id(1), an_id(2), an_id(3), an_id(4)
ANOTHER_ORGANIZATION, STRANGER = an_id(5), an_id(6)
CHAT, ANOTHER_CHAT, WORKSPACE, AGENT = an_id(10), an_id(11), an_id(100), an_id(900)

DEFAULT_SETTINGS = {
    "creating_deadline": "10m",
    "building_deadline": "10m",
    "binding_deadline": "30s",
    "connecting_deadline": "2m",
    "starting_deadline": "10m",
    "agent_inactive_grace": "30s",
    "agent_connection_timeout": "2m",
    "workspace_ttl": "",
    "job_pending_limit": "30m",
    "job_running_limit": "1h",
    "queue_deadline": "30m",
    "builds_per_owner": "0",
    "builds_per_template": "0",
}
"""As a client reads them, when nobody has put any."""


class CountedIds:
    """Ids that count up, and chance that follows a list, then counts up as well."""

    def __init__(self, chances: Sequence[int] = ()) -> None:
        """`chances` are what `below` returns, in turn."""
        self._next = 1_000_000
        self._chances = list(chances)
        self._chance = -1

    def uuid(self) -> str:
        """The next id."""
        self._next += 1
        return an_id(self._next)

    def below(self, limit: int) -> int:
        """The next chance."""
        self._chance += 1
        return (self._chances.pop(0) if self._chances else self._chance) % limit


def a_template(**changed: Any) -> Template:  # noqa: ANN401 - any field
    """A template without parameters."""
    return replace(Template(TEMPLATE, ORGANIZATION, "docker", active_version_id=VERSION), **changed)


def a_version(id: str = VERSION, *parameters: Parameter, presets: tuple[Preset, ...] = ()) -> TemplateVersion:  # noqa: A002 - the field's name
    """A version of the template."""
    return TemplateVersion(id, TEMPLATE, parameters, presets)


def a_workspace(**changed: Any) -> Workspace:  # noqa: ANN401 - any field
    """A live workspace of the template."""
    return replace(Workspace(WORKSPACE, "dev", OWNER, "ann", ORGANIZATION, TEMPLATE, NOW), **changed)


_JOBS: dict[JobStatus, dict[str, Any]] = {
    "pending": {},
    "running": {"started_at": NOW, "attempt": 1},
    "canceling": {"started_at": NOW, "canceled_at": NOW, "reported": "running", "attempt": 1},
    "succeeded": {"started_at": NOW, "completed_at": NOW, "attempt": 1},
    "failed": {"started_at": NOW, "completed_at": NOW, "attempt": 1},
    "canceled": {"started_at": NOW, "completed_at": NOW, "canceled_at": NOW, "attempt": 1},
}


def a_build(
    number: int = 1,
    status: JobStatus = "pending",
    transition: Transition = "start",
    **changed: Any,  # noqa: ANN401 - any field
) -> Build:
    """Build `number` of the workspace with its job in `status`."""
    build = Build(an_id(1000 + number), WORKSPACE, number, transition, an_id(2000 + number), NOW)
    return replace(build, **{"reported": status} | _JOBS[status] | changed)


def an_agent(id: str = AGENT, name: str = "main", *, connected: bool = False, **changed: Any) -> Agent:  # noqa: A002, ANN401 - any field
    """An announced root agent of build 1."""
    link = {"server_id": "S", "client_id": 1, "first_connected_at": NOW, "last_connected_at": NOW} if connected else {}
    return replace(Agent(id, WORKSPACE, an_id(1001), NOW, announced=True, name=name), **link | changed)


def an_agent_report(id: str = AGENT, name: str = "main", **changed: Any) -> AgentReport:  # noqa: A002, ANN401 - any field
    """An agent as `job.succeeded` tells it."""
    return replace(AgentReport(id, name), **changed)


def facts_with(build: Build | None = None, *agents: Agent, **changed: Any) -> Facts:  # noqa: ANN401 - any field
    """Facts of the workspace; `changed` are fields of its row."""
    return Facts(a_workspace(**changed), build, agents)


def a_job_report(build: Build, status: JobStatus, **changed: Any) -> JobChanged:  # noqa: ANN401 - any field
    """What a provisioner tells about the build's job."""
    return JobChanged(status, replace(JobReport(build.id, build.build_number, build.job_id), **changed))
