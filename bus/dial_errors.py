"""Why a chat's agent could not be reached (domain.md section 8). Raised to the caller, never on the wire.

DialError
├── ConnectorMissing
├── ReloadFailed           the engine could not be asked
├── Unbound                there is nothing to dial
│   ├── NoWorkspace
│   ├── NoAgent
│   └── AgentNotFound      the agents do not say which of them it is
├── WorkspaceChanged       again and again
├── DialFailed             .confirmed: the engine says that it is the right agent
├── ExternalAgentAway      somebody outside has to bring it back
└── DialTimeout            the dial limit is over
    ├── NeverConnected
    └── AgentDisconnected
"""

from workspaced.fsm.errors import WorkspacedError


class DialError(WorkspacedError):
    """the workspace agent cannot be reached"""

    code = "dial_error"


class ConnectorMissing(DialError):
    """workspace agent connector is not configured"""

    code = "connector_missing"


class ReloadFailed(DialError):
    """reload chat workspace state: no answer"""

    code = "reload_failed"


class Unbound(DialError):
    """there is nothing to dial"""

    code = "unbound"


class NoWorkspace(Unbound):
    """no workspace is associated with this chat; use create_workspace to make one"""

    code = "no_workspace"


class NoAgent(Unbound):
    """workspace has no running agent; it is likely stopped. Use start_workspace to start it"""

    code = "no_agent"


class AgentNotFound(Unbound):
    """find chat agent: more than one would do"""

    code = "selection_error"


class WorkspaceChanged(DialError):
    """chat workspace changed while connecting"""

    code = "workspace_changed"


class DialFailed(DialError):
    """dial with lazy validation: the agent does not answer"""

    code = "dial_failed"

    def __init__(self, message: str | None = None, *, confirmed: bool = False) -> None:
        """`confirmed`: two dials in a row failed for an agent that the engine named in between."""
        super().__init__(message)
        self.confirmed = confirmed


class ExternalAgentAway(DialError):
    """the workspace uses an externally managed agent that is currently offline; \
the user has to reconnect it on its host and then try again"""

    code = "external_agent_away"


class DialTimeout(DialError):
    """connection to the workspace agent timed out; it may be reachable on the next attempt"""

    code = "dial_timeout"


class NeverConnected(DialTimeout):
    """the workspace agent never connected and its connection timeout has elapsed; \
call stop_workspace and then start_workspace"""

    code = "never_connected"


class AgentDisconnected(DialTimeout):
    """the workspace agent has been disconnected for at least 90 seconds; \
call stop_workspace and then start_workspace"""

    code = "agent_disconnected"
