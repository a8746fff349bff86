"""The eight states of a chat's provisioning; what moves a chat between them is told in `machine.py`."""

from enum import StrEnum


class State(StrEnum):
    """Where a chat stands."""

    IDLE = "idle"
    """No live workspace is bound, or the bound one is stopped or stopping. A requested start build moves it on;
    a crash leaves nothing to do."""

    CREATING = "creating"
    """A start build is requested and no provisioner has taken its job. The job's first `running` moves it on. After a
    crash the job's message is published again under the same id."""

    BUILDING = "building"
    """A provisioner works on the job. The job's end moves it on. When the provisioner dies, its lease runs out and
    another one takes the job."""

    BINDING = "binding"
    """The build is done and its agents are matched against the rule. It rests here only while the provisioner has not
    told the agents; (workspace, build, agent) is written by the transaction that leaves it."""

    CONNECTING = "connecting"
    """An agent is bound and not connected: not yet, or not any more. Its `connected` moves it on."""

    STARTING = "starting"
    """The agent is connected and its startup scripts run. Its lifecycle moves it on; a lost link leads back."""

    READY = "ready"
    """The workspace is usable. It has no deadline here; the workspace's TTL is the workspace's own."""

    FAILED = "failed"
    """It stopped short, and `failure` says where and why. Better facts heal it; create, start, restart and delete
    begin anew. Nothing waits for it, so it has no deadline."""


WAITING = (State.CREATING, State.BUILDING, State.BINDING, State.CONNECTING, State.STARTING)
"""The states that always have a deadline, in the order in which a workspace comes up."""

MACHINE_VERSION = 1
"""Written on every row that holds a state; a renamed state raises it and brings a migration."""
