"""A chat on the real servers with the provisioner and the agent around it, in the words of `tests/stage.py`.

No time has to pass in a scene: a deadline is due when the test says so, and what is to be long ago is reported as such.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from tests.e2e.provisioner import Agent, Body
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from workspaced.bus import subjects
from workspaced.bus.messages import Reply
from workspaced.fsm.commands import COMMANDS, Owner
from workspaced.fsm.effects import ChatDeadline, JobLimit, Timed
from workspaced.fsm.events import AgentReport
from workspaced.fsm.snapshot import Snapshot

LONG = timedelta(hours=1)
"""No deadline of a test that runs by this is ever due by itself."""
GRACE = timedelta(minutes=30)
"""For a lost agent, in such a test."""


async def unhurried_engine(stack: Stack) -> None:
    """An engine for scenes."""
    names = ("creating", "building", "binding", "connecting", "starting")
    await stack.engine(None, agent_inactive_grace=GRACE, **{f"{name}_deadline": LONG for name in names})  # type: ignore[arg-type]  # all of them are settings


class Scene:
    """One owner's chats, driven by hand; `chat_id` is the one that commands are about."""

    def __init__(self, stack: Stack, age: timedelta = timedelta(0), owner: Owner | None = None) -> None:
        """Reports are told as being `age` old; without an owner the scene has one of its own."""
        self.stack, self.age = stack, age
        self.owner = owner or Owner(str(uuid4()), "ada")
        self.chat_id = str(uuid4())
        self.agents: dict[str, Agent] = {}
        """Of the build that succeeded last, by id, in the order in which it told them."""
        self._jobs: dict[str, Body] = {}

    # --- commands -----------------------------------------------------------------------------------------------------

    async def ask(self, verb: str, **fields: Any) -> Reply:  # noqa: ANN401  # any field of the command
        """A command of the chat's owner, and what was decided: `queued` is asked again under the same id."""
        asked: dict[str, Any] = {"chat_id": self.chat_id, "request_id": str(uuid4())}
        if verb in {"create", "attach"}:
            asked |= {"owner": self.owner, "organization_id": ORGANIZATION}
        if verb == "create":
            asked |= {"template_id": TEMPLATE}
        command = COMMANDS[verb](**asked | fields)
        while (reply := await self.stack.client.send(command)).outcome == "queued":
            pass
        return reply

    async def look(self) -> Snapshot | None:
        """The chat once all that was said so far is decided; None without a row.

        A command about an agent that nobody has is ignored, but answered in its turn.
        """
        nobody = {name: str(uuid4()) for name in ("workspace_id", "build_id", "agent_id")}
        return (await self.ask("unreachable", **nobody)).snapshot

    # --- reports ------------------------------------------------------------------------------------------------------

    async def job(self, status: str, *, agents: Sequence[AgentReport] | None = None, **fields: object) -> None:
        """The provisioner tells how the latest build's job stands."""
        now = await self.look()
        assert now is not None
        job = await self.job_of(now.build_id)
        if agents is not None:
            fields |= {"agents": [msgspec.to_builtins(report) for report in agents]}
            self.agents = {report.id: await self._agent(job, report.id) for report in agents}
        await self.stack.provisioner.tell(job, status, at=self._at(), **fields)

    async def built(self, *agents: AgentReport) -> None:
        """The job succeeds; without `agents` it tells one named main."""
        told = agents or (AgentReport(str(uuid4()), "main"),)
        made_at = datetime.now(UTC) - self.age
        await self.job("succeeded", agents=[msgspec.structs.replace(report, created_at=made_at) for report in told])

    @property
    def agent(self) -> Agent:
        """The first of the agents."""
        return next(iter(self.agents.values()))

    async def connected(self) -> None:
        """The agent connects."""
        await self.agent.tell("connected", at=self._at())

    async def lost(self) -> None:
        """The agent's connection is gone."""
        await self.agent.tell("disconnected", at=self._at())

    async def lifecycle(self, state: str) -> None:
        """The agent tells how far its scripts are."""
        await self.agent.tell("lifecycle", state=state, at=self._at())

    def _at(self) -> str:
        return (datetime.now(UTC) - self.age).isoformat()

    async def _agent(self, job: Body, agent_id: str) -> Agent:
        agent = await self.stack.provisioner.agent(job)
        agent.id = agent_id
        return agent

    async def job_of(self, build_id: str | None) -> Body:
        """The job of that build, once the queue has brought it."""
        assert build_id is not None
        if build_id not in self._jobs:
            self._jobs[build_id] = await self.stack.provisioner.job(build_id)
        return self._jobs[build_id]

    # --- time ---------------------------------------------------------------------------------------------------------

    async def expire(self) -> None:
        """The chat's deadline passes."""
        now = await self.look()
        assert now is not None
        ((version,),) = await self.stack.sql(
            "select deadline_version from workspaced.chats where id = $1", self.chat_id
        )
        await self._due("chat", ChatDeadline(self.chat_id, version), now)

    async def limit(self) -> None:
        """The latest build's job has been pending or running for too long."""
        now = await self.look()
        assert now is not None
        assert now.workspace is not None
        job = await self.job_of(now.build_id)
        word: Any = "pending" if now.workspace.job_status == "pending" else "running"
        await self._due("job", JobLimit(now.workspace.id, job["job_id"], word), now)

    async def _due(self, kind: str, timer: Timed, now: Snapshot) -> None:
        """Put there what the server puts there when a timer is due, and wait until the chat has failed by it."""
        subject = subjects.due(kind, timer.slot)
        await self.stack.admin.jetstream().publish(subject, msgspec.json.encode(timer))
        await self.stack.pushes.until(self.chat_id, "failed", after=now.version)
