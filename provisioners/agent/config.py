"""What an agent is told when it is started: a JSON file that only its owner may read, for it holds a password."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from workspaced.fsm.durations import parse_duration
from workspaced.fsm.values import Id
from workspaced.provisioners.own_file import read_own

CONFIG_VARIABLE: Final = "WORKSPACED_AGENT_CONFIG"
"""Names the file in the agent's environment; scripts do not get it."""


RESTARTED_VARIABLE: Final = "WORKSPACED_AGENT_RESTARTED"
"""Set, to anything, when an earlier process was this very agent."""


class Tls(Struct, frozen=True):
    """Paths of PEM files. A server that speaks TLS is verified by `ca`, or by what the system trusts."""

    ca: str | None = None
    certificate: str | None = None
    """Shown to servers that ask for one, with its `key`."""
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Made of the files. Raises ValueError with one line when they are of no use."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(f"the TLS files cannot be used: {error}") from None
        return context


class NatsLogin(Struct, frozen=True):
    """Where NATS is and who one is there: by user and password, or by an nkey."""

    url: str
    user: str | None = None
    password: str | None = None
    inbox_prefix: str = "_INBOX"
    nkey_seed: str | None = None
    tls: Tls | None = None

    def options(self) -> dict[str, Any]:
        """As `nats.connect` takes them, besides the servers. Raises ValueError for TLS files that are of no use."""
        who = {"user": self.user, "password": self.password}
        if self.nkey_seed is not None:
            who = {"nkeys_seed_str": self.nkey_seed}
        return who | {"inbox_prefix": self.inbox_prefix} | ({"tls": self.tls.context()} if self.tls else {})


class AgentConfig(Struct, frozen=True):
    """One agent of one build. Paths are absolute; `environment` is added to what scripts inherit."""

    workspace_id: Id
    build_id: Id
    agent_id: Id
    agent_name: str
    nats: NatsLogin
    folder: str
    """Where scripts run."""
    startup_script: str | None = None
    """A bash script; none: ready at once."""
    startup_script_timeout: str = "0s"
    """After it `start_timeout` is reported and the script goes on; `0s`: never."""
    startup_log: str | None = None
    """Takes the script's output, from its start."""
    startup_log_max_bytes: int = 8 * 1024 * 1024
    stop_grace: str = "5s"
    """How long scripts may take to end when the agent is told to."""
    environment: dict[str, str] = {}

    def script_environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What scripts see: the agent's own environment without the way to its password, and who they run for."""
        return {
            **{name: value for name, value in inherited.items() if name not in {CONFIG_VARIABLE, RESTARTED_VARIABLE}},
            **self.environment,
            "WORKSPACED_WORKSPACE_ID": self.workspace_id,
            "WORKSPACED_BUILD_ID": self.build_id,
            "WORKSPACED_AGENT_ID": self.agent_id,
            "WORKSPACED_AGENT_NAME": self.agent_name,
        }


def read_config(path: Path) -> AgentConfig:
    """The configuration in `path`. Raises ValueError with one line that says what is wrong."""
    try:
        config = msgspec.json.decode(read_own(path), type=AgentConfig)
    except OSError as error:
        raise ValueError(f"cannot read the agent's configuration {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the agent's configuration {path} is not valid: {error}") from None
    for name in ("startup_script_timeout", "stop_grace"):
        try:
            parse_duration(getattr(config, name))
        except ValueError as error:
            raise ValueError(f"the agent's configuration {path} is not valid: {name}: {error}") from None
    return config
