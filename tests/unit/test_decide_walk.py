"""Long walks: hundreds of thousands of inputs at random, and after each what it changed must be sound.

Hypothesis (`test_decide_model.py`) looks for the shortest run that breaks something; this one goes far. A walk is
repeated by its number.
"""

import os
import random
from datetime import timedelta

import pytest

from tests.builders import an_agent_report, an_id
from tests.stage import Stage
from tests.step import Step
from tests.unit.test_decide_model import CHATS, NAMES, VERBS
from workspaced.fsm.drawing import moves
from workspaced.fsm.effects import PublishJob, SetTimer
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import AgentConnected, AgentDisconnected, BuildCreated, ConnectionLost, LifecycleChanged
from workspaced.fsm.facts import job_status
from workspaced.fsm.inputs import Input, WorkspaceEvent
from workspaced.fsm.machine import advance
from workspaced.fsm.settings import settings_from
from workspaced.fsm.settle import guards
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.values import JobStatus

STEPS = int(os.environ.get("WALK_STEPS", "300000"))
"""In all; a walk has a hundred of them."""
WALKS_AT_ONCE = 8
AGENTS = [an_id(number) for number in range(900, 940)]
REPORTS: tuple[JobStatus, ...] = (
    "running",
    "running",
    "succeeded",
    "succeeded",
    "succeeded",
    "failed",
    "canceling",
    "canceled",
)
EDGES = {(source, target) for source, _, _, target in moves()}


class Walk:
    """Three chats and whatever they make, driven by chance."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)  # noqa: S311  # a walk, not a secret
        self.stage = Stage(settings=settings_from({"workspace_ttl": "1h"}))
        self.past: list[Input] = []
        self.timers: list[SetTimer] = []
        self.jobs: set[str] = set()

    def go(self) -> None:
        """One input, as often the next step of a build as anything else."""
        chance, stage = self.chance, self.stage
        stage.wait(chance.choice((0, 0, 1, 29, 31, 130)))
        stage.chat_id = chance.choice(CHATS)
        doing = chance.choices((self._command, self._report, self._agent, self._timer, self._again), (5, 5, 6, 2, 1))
        item = doing[0]()
        if item is None:
            return
        self.past.append(item)
        try:
            step = stage.take(item)
        except UndecodableMessage:
            return
        self._check(step)

    def _command(self) -> Input:
        verb = self.chance.choice((*VERBS, "attach", "create"))
        if verb == "attach":
            return self.stage.asking("attach", from_chat_id=self.chance.choice(CHATS))
        return self.stage.asking(verb)

    def _report(self) -> Input | None:
        builds = list(self.stage.builds.values())
        if not builds:
            return None
        build = self.chance.choice((*builds, *builds[-1:] * 4))
        if self.chance.random() < 0.1:
            event = BuildCreated(
                self.stage.ids.uuid(),
                build.build_number + self.chance.choice((1, 1, 2)),
                self.chance.choice(("start", "stop", "delete")),
                self.stage.ids.uuid(),
            )
            return self.stage.item(WorkspaceEvent(build.workspace_id, event))
        status = self.chance.choice(REPORTS)
        foreign = {row.id for row in self.stage.agents.values() if row.workspace_id != build.workspace_id}
        free = [agent for agent in AGENTS if agent not in foreign]  # the store refuses another workspace's agent
        named = self.chance.sample(free, min(len(free), self.chance.choice((0, 1, 1, 1, 2))))
        told = tuple(an_agent_report(agent, self.chance.choice(NAMES)) for agent in named)
        return self.stage.reporting(status, build, attempt=self.chance.choice((1, 1, 2)), agents=told)

    def _agent(self) -> Input | None:
        agents = list(self.stage.agents.values())
        if not agents:
            return None
        agent = self.chance.choice((*agents, *agents[-1:] * 2))
        link = (self.chance.choice("AAB"), self.chance.randint(1, 4))
        if self.chance.random() < 0.5 and agent.connection is not None:
            link = agent.connection
        event = self.chance.choice(
            (
                AgentConnected(*link),
                AgentConnected(*link),
                AgentDisconnected(*link),
                LifecycleChanged(*link, "ready"),
                LifecycleChanged(*link, self.chance.choice(("starting", "start_error", "shutting_down"))),
                ConnectionLost(*link, certain=self.chance.random() < 0.8),
            )
        )
        at = self.stage.now + timedelta(seconds=self.chance.randint(-3, 3))
        payload = event if isinstance(event, ConnectionLost) else WorkspaceEvent(agent.workspace_id, event, agent.id)
        return self.stage.item(payload, at=at)

    def _timer(self) -> Input | None:
        if not self.timers:
            return None
        timer = self.chance.choice(self.timers[-8:])
        self.stage.now = max(self.stage.now, timer.at)
        return self.stage.item(timer.due)

    def _again(self) -> Input | None:
        return self.chance.choice(self.past) if self.past else None

    def _check(self, step: Step) -> None:
        """What the step wrote and said is sound."""
        self.timers += [effect for effect in step.said if isinstance(effect, SetTimer)]
        published = [effect.job.build_id for effect in step.said if isinstance(effect, PublishJob)]
        for row in step.transitions:
            assert (row.from_state, row.to_state) in EDGES or row.from_state is row.to_state
            assert (row.failure is not None) == (row.to_state is State.FAILED)
        for one in step.changes.chats:
            rows = [row.version for row in step.transitions if row.chat_id == one.chat.id]
            assert rows == list(range(one.expected_version + 1, one.chat.version + 1))
        for build in step.changes.builds:
            known = build.id in self.jobs or build.foreign or build.id in published
            assert known
        self.jobs.update(published)
        self._check_chats()

    def _check_chats(self) -> None:
        world = self.stage.world()
        for chat in world.chats.values():
            facts = world.facts_of(chat)
            assert (chat.deadline_at is not None) == (chat.state in WAITING)
            assert (chat.failure is not None) == (chat.state is State.FAILED)
            assert advance(chat.state, "observe", guards(chat, facts)) == ()
            if chat.state is State.READY:
                agent = facts and facts.agent(chat.agent_id)
                assert agent
                assert (agent.connected, agent.lifecycle) == (True, "ready")
        unfinished = [
            row.workspace_id
            for row in self.stage.builds.values()
            if job_status(row) in {"pending", "running", "canceling"}
        ]
        assert len(unfinished) == len(set(unfinished))


@pytest.mark.parametrize("share", range(WALKS_AT_ONCE))
def test_long_walks(share: int) -> None:
    """Every step of every walk leaves rows that are sound."""
    for number in range(share, STEPS // 100, WALKS_AT_ONCE):
        walk = Walk(number)
        for _ in range(100):
            walk.go()
