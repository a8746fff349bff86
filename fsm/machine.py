"""The machine: which moves exist, and nothing else. It knows no time, no ids and no texts.

Theory. Facts move the machine; messages only change facts. The facts of a workspace are one value (`Reach`), and
guarded eventless transitions compare it with the state: as many moves as are enabled follow one another until the
machine is at rest. Only two things are events: `expire`, a deadline that has passed, and `retry`, a command that
sends a failed chat back to what it waited for. Because eventless moves run before an event that is sent, callers
settle first, look at the deadline again, and only then send.

`advance` is the same machine as a pure function. State, event and guards are finite, so python-statemachine is asked
once for each combination, and a table answers from then on.
"""

from enum import StrEnum
from functools import cache
from typing import NamedTuple

from statemachine import State as Node
from statemachine import StateChart
from statemachine.exceptions import TransitionNotAllowed

from workspaced.fsm.reach import Reach
from workspaced.fsm.state import State


class Heals(StrEnum):
    """What a failed chat's failure waits for; `NO` for one that does not heal within its build (domain.md 6.4)."""

    NO = "no"
    TAKEN = "taken"
    """No provisioner took the job: it heals when one does."""
    BUILT = "built"
    """The build took too long: it heals when it succeeds."""
    AGENTS = "agents"
    """The build did not tell its agents: it heals when they are told."""
    LINK = "link"
    """The agent did not connect or was lost: it heals when it connects."""
    READY = "ready"
    """Startup scripts took too long: it heals when the lifecycle is `ready`."""
    RESTART = "restart"
    """Startup scripts failed, or took too long and began again: it heals at `starting` as well."""


class Guards(NamedTuple):
    """All that a move may depend on."""

    reach: Reach
    fresh: bool = False
    """The latest build is a start build that the chat has not seen yet."""
    heals: Heals = Heals.NO


class Standing:
    """What one machine stands on: the guards, and the state's name."""

    def __init__(self, state: State, guards: Guards) -> None:
        """A machine over this model stands in `state`."""
        self.state: str = state
        self.reach, self.fresh, self.heals = guards


class Provisioning(StateChart[Standing]):
    """From "no workspace" to "agent ready"."""

    allow_event_without_transition = False
    catch_errors_as_events = False
    atomic_configuration_update = True

    idle = Node(initial=True)
    creating = Node()
    building = Node()
    binding = Node()
    connecting = Node()
    starting = Node()
    ready = Node()
    failed = Node()

    # A start build that the chat has not seen leads to its beginning, from wherever the chat stands.
    idle.to(creating, cond="start_wanted", on="see_build")
    creating.to(creating, cond="build_is_new", on="see_build")
    building.to(creating, cond="build_is_new", on="see_build")
    binding.to(creating, cond="build_is_new", on="see_build")
    connecting.to(creating, cond="build_is_new", on="see_build")
    starting.to(creating, cond="build_is_new", on="see_build")
    ready.to(creating, cond="build_is_new", on="see_build")
    failed.to(creating, cond="build_is_new", on="see_build")

    # A stop or delete build leads to idle, from wherever the chat stands.
    creating.to(idle, cond="start_over")
    building.to(idle, cond="start_over")
    binding.to(idle, cond="start_over")
    connecting.to(idle, cond="start_over")
    starting.to(idle, cond="start_over")
    ready.to(idle, cond="start_over")
    failed.to(idle, cond="start_over")

    # The way up.
    creating.to(building, cond="job_taken")
    building.to(binding, cond="build_succeeded")
    binding.to(connecting, cond="agent_selected")
    connecting.to(starting, cond="agent_connected")
    starting.to(ready, cond="agent_ready")

    # The way back: a blink is not a death.
    starting.to(connecting, cond="agent_away")
    ready.to(connecting, cond="agent_away")
    ready.to(starting, cond="agent_not_ready")

    # It stops short.
    creating.to(failed, cond="job_not_wanted")
    building.to(failed, cond="build_over")
    binding.to(failed, cond="no_agent_to_select")
    starting.to(failed, cond="startup_failed")

    # It heals.
    failed.to(building, cond="taken_after_all", on="heal")
    failed.to(binding, cond="built_after_all", on="heal")
    failed.to(starting, cond="started_after_all", on="heal")
    failed.to(ready, cond="ready_after_all", on="heal")

    expire = (
        creating.to(failed) | building.to(failed) | binding.to(failed) | connecting.to(failed) | starting.to(failed)
    )
    retry = (
        failed.to(creating, cond="job_pending")
        | failed.to(building, cond="job_running")
        | failed.to(connecting, cond="agent_selected_but_away")
        | failed.to(starting, cond="scripts_running")
    )
    # Asks the eventless moves to run; moves nothing itself.
    observe = (
        idle.to(idle, internal=True)
        | creating.to(creating, internal=True)
        | building.to(building, internal=True)
        | binding.to(binding, internal=True)
        | connecting.to(connecting, internal=True)
        | starting.to(starting, internal=True)
        | ready.to(ready, internal=True)
        | failed.to(failed, internal=True)
    )

    def see_build(self) -> None:
        """From here on the build is the chat's own, and what failed before it does not matter."""
        self.model.fresh = False
        self.model.heals = Heals.NO

    def heal(self) -> None:
        """The failure is over; the next one has not been judged yet."""
        self.model.heals = Heals.NO

    def start_wanted(self) -> bool:
        """The latest build is a start build."""
        return self.model.reach is not Reach.NONE

    def start_over(self) -> bool:
        """The latest build stops or deletes, or there is none."""
        return self.model.reach is Reach.NONE

    def build_is_new(self) -> bool:
        """The latest build is a start build that the chat has not seen."""
        return self.model.fresh and self.start_wanted()

    def job_pending(self) -> bool:
        """No provisioner has taken the job."""
        return self.model.reach is Reach.PENDING

    def job_running(self) -> bool:
        """A provisioner works on the job."""
        return self.model.reach is Reach.RUNNING

    def job_taken(self) -> bool:
        """A provisioner works on the job, or did."""
        return self.model.reach >= Reach.RUNNING

    def job_not_wanted(self) -> bool:
        """The job ended before a provisioner took it."""
        return self.model.reach is Reach.UNTAKEN

    def build_over(self) -> bool:
        """The job failed or was canceled."""
        return self.model.reach in {Reach.UNTAKEN, Reach.BROKEN}

    def build_succeeded(self) -> bool:
        """The job succeeded."""
        return self.model.reach >= Reach.BUILT

    def no_agent_to_select(self) -> bool:
        """The agents are told, and none or several fit."""
        return self.model.reach in {Reach.NO_AGENT, Reach.AMBIGUOUS}

    def agent_selected(self) -> bool:
        """Exactly one agent fits."""
        return self.model.reach >= Reach.AWAY

    def agent_selected_but_away(self) -> bool:
        """It is not connected."""
        return self.model.reach is Reach.AWAY

    def agent_connected(self) -> bool:
        """The selected agent is connected."""
        return self.model.reach >= Reach.STARTING

    def agent_away(self) -> bool:
        """It is not connected, or facts went back further still, which they cannot."""
        return Reach.NONE < self.model.reach < Reach.STARTING

    def scripts_running(self) -> bool:
        """The agent is connected and its startup scripts run."""
        return self.model.reach is Reach.STARTING

    def startup_failed(self) -> bool:
        """The agent is connected and past its scripts, but not ready."""
        return self.model.reach is Reach.UNWELL

    def agent_ready(self) -> bool:
        """The agent is connected and ready."""
        return self.model.reach is Reach.READY

    def agent_not_ready(self) -> bool:
        """The agent is connected and not ready."""
        return self.model.reach in {Reach.STARTING, Reach.UNWELL}

    def taken_after_all(self) -> bool:
        """A provisioner took the job after the deadline."""
        return self.model.heals is Heals.TAKEN and self.job_running()

    def built_after_all(self) -> bool:
        """The build succeeded, or told its agents, after the deadline."""
        late_build = self.model.heals in {Heals.TAKEN, Heals.BUILT} and self.build_succeeded()
        late_agents = self.model.heals is Heals.AGENTS and self.model.reach >= Reach.NO_AGENT
        return late_build or late_agents

    def started_after_all(self) -> bool:
        """The agent connected after the deadline, or its scripts began again."""
        late_agent = self.model.heals is Heals.LINK and self.agent_connected()
        return late_agent or (self.model.heals is Heals.RESTART and self.scripts_running())

    def ready_after_all(self) -> bool:
        """The lifecycle turned `ready` after the deadline or the failure."""
        return self.model.heals in {Heals.READY, Heals.RESTART} and self.agent_ready()


class NotAllowed(Exception):
    """The machine has no such move."""


class _Path:
    """Listens to a machine and keeps the states it moved through."""

    def __init__(self) -> None:
        self.states: list[State] = []

    def after_transition(self, event: str | None, target: Node) -> None:
        if event != "observe":
            self.states.append(State(target.id))


def advance(state: State, event: str, guards: Guards) -> tuple[State, ...]:
    """The states that `event` (`observe`, `expire`, `retry`) leads through from `state`, in order; empty at rest.

    Raises NotAllowed when the machine has no such move.
    """
    if state is not State.FAILED and guards.heals is not Heals.NO:
        guards = guards._replace(heals=Heals.NO)  # nothing has failed that could heal
    return _path(state, event, guards)


@cache
def _path(state: State, event: str, guards: Guards) -> tuple[State, ...]:
    path = _Path()
    machine = Provisioning(Standing(state, guards), listeners=[path])
    try:
        machine.send(event)
    except TransitionNotAllowed:
        raise NotAllowed(f"{event} in {state}") from None
    return tuple(path.states)
