"""Every environment variable there is, as one table: the flags, the checks and `docs/settings.md` come from it.

`creating_deadline` is the flag `--creating-deadline`, the variable `WORKSPACED_CREATING_DEADLINE`, and
`WORKSPACED_CREATING_DEADLINE_FILE` names a file that holds the value.
"""

from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct

from workspaced.fsm.durations import format_duration, parse_duration
from workspaced.fsm.settings import DEFAULTS, NAMES, check_setting

Program = Literal["engine", "provisioner", "migrate", "callout", "client", "all"]
Value = str | int | timedelta

PREFIX: Final = "WORKSPACED_"
MOST: Final = 1_000_000_000
LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class Variable(Struct, frozen=True):
    """One setting of a process. `default` has its type; `least` is the smallest count, or 1 ms for a duration."""

    name: str
    default: Value
    help: str
    program: Program
    least: int = 1
    words: tuple[str, ...] = ()
    """What a text may be; anything when empty."""
    schemes: tuple[str, ...] = ()
    """What an address begins with."""
    has_flag: bool = True
    """Secrets have none: others can read a command line."""

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return {"nats_url": "NATS_URL", "database_url": "DATABASE_URL"}.get(self.name, PREFIX + self.name.upper())

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.removeprefix("mcp_").replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default as one would write it."""
        return format_duration(self.default) if isinstance(self.default, timedelta) else str(self.default)

    def parse(self, text: str) -> Value:
        """The value that `text` gives. Raises ValueError with the reason."""
        text = text.strip()
        if self.name in NAMES:
            return check_setting(self.name, text)
        if isinstance(self.default, timedelta):
            return _duration(text, self.least)
        if isinstance(self.default, int):
            return _count(text, self.least)
        if text and self.schemes and not text.startswith(self.schemes):
            raise ValueError(f"must begin with {' or '.join(self.schemes)}")
        if self.words and text not in self.words:
            raise ValueError(f"must be one of: {', '.join(self.words)}")
        return text


def _duration(text: str, least: int) -> timedelta:
    span = parse_duration(text)
    shortest = timedelta(milliseconds=least)
    if span < shortest:
        raise ValueError(f"must be at least {format_duration(shortest)}" if least else "must not be negative")
    return span


def _count(text: str, least: int) -> int:
    if not text.isascii() or not text.removeprefix("-").isdigit():
        raise ValueError("must be a whole number")
    if not least <= (number := int(text)) <= MOST:
        raise ValueError(f"must be from {least} to {MOST}")
    return number


def _s(**spans: float) -> timedelta:
    return timedelta(**spans)


_STORED: Final = {
    "creating_deadline": "how long a job may wait for a provisioner",
    "building_deadline": "how long a build may take",
    "binding_deadline": "how long a finished build may owe its agents",
    "connecting_deadline": "how long an agent may take to connect for the first time",
    "starting_deadline": "how long startup scripts may take",
    "agent_inactive_grace": "how long an agent may be away before its chat fails",
    "agent_connection_timeout": "after it an agent that never connected counts as `timeout`; 0: never",
    "workspace_ttl": "a workspace is stopped when it was ready for so long; empty or 0: never",
    "job_pending_limit": "after it a job that nobody took is ended",
    "job_running_limit": "after it a job that still runs is ended",
    "queue_deadline": "how long a start build may wait in the queue for one of the limits below",
    "builds_per_owner": "start builds at once for one owner, the others wait in the queue; 0: no limit",
    "builds_per_template": "start builds at once from one template, the others wait in the queue; 0: no limit",
}

WHERE: Final = (
    Variable(
        "nats_url",
        "",
        "where NATS answers: nats://host:port, of a cluster several with commas between",
        "all",
        schemes=("nats://", "tls://", "ws://", "wss://"),
    ),
    Variable("user", "", "who one is on NATS; the role's name with the shipped nats.conf", "all"),
    Variable("password", "", "of that user", "all", has_flag=False),
    Variable("inbox_prefix", "", "where replies come to; `_INBOX_<user>` when empty", "all", has_flag=False),
    Variable("nkey", "", "the seed of one's user nkey, instead of a password", "all", has_flag=False),
    Variable("tls_ca", "", "a PEM file with whom to trust as NATS; the system's own when empty", "all", has_flag=False),
    Variable("tls_cert", "", "a PEM file with the certificate to show to NATS", "all", has_flag=False),
    Variable("tls_key", "", "a PEM file with its key", "all", has_flag=False),
    Variable("agent_user", "agent", "who the agents of a local provisioner are on NATS", "provisioner"),
    Variable("agent_password", "", "of that user", "provisioner", has_flag=False),
    Variable(
        "database_url",
        "",
        "where Postgres answers: postgresql://user:password@host/database; docs/outages.md has two hosts",
        "engine",
        schemes=("postgresql://", "postgres://"),
    ),
    Variable("dir", "", "the folder of a local stack; `~/.local/state/workspaced` when empty", "all"),
)
"""Where the servers are, and who one is there."""

SETTINGS: Final = tuple(Variable(name, DEFAULTS[name], _STORED[name], "engine", 0) for name in NAMES)
"""Defaults under the stored settings, which `workspaced settings put` changes at run time."""

ENGINE: Final = (
    Variable("http_host", "127.0.0.1", "where /livez, /readyz and /metrics listen", "engine"),
    Variable("http_port", 9750, "their port; 0: any free one", "engine", 0),
    Variable("batch_cap", 256, "how many messages one transaction may take", "engine"),
    Variable("pool_size", 10, "connections to Postgres, at most", "engine"),
    Variable("statement_cache_size", 100, "prepared statements per connection; 0 behind pgbouncer", "engine", 0),
    Variable(
        "agent_key",
        "",
        "what agents' secrets are made with, the same for all engines; none: agents have no secrets of their own",
        "engine",
        has_flag=False,
    ),
    Variable(
        "tenants",
        "no",
        "tell each organization on subjects of its own too: transitions, logs",
        "engine",
        words=("no", "yes"),
    ),
    Variable("drain_limit", _s(seconds=20), "what work in hand gets to finish after SIGTERM", "engine"),
    Variable("log_level", "info", "what is logged on stderr", "all", words=LOG_LEVELS),
)

PROVISIONER: Final = (
    Variable("workspaces", "", "their folder; `workspaces` in the stack's folder when empty", "provisioner"),
    Variable("concurrency", 10, "jobs at once", "provisioner"),
    Variable("job_extend", _s(seconds=10), "how often the lease of a job in hand is extended", "provisioner"),
    Variable("job_attempts", 3, "beyond so many deliveries a job counts as hung", "provisioner"),
    Variable("cancel_grace", _s(minutes=10), "what a canceled job gets to end by itself", "provisioner"),
    Variable("log_flush", _s(milliseconds=250), "how often build logs are sent", "provisioner"),
    Variable("startup_script_timeout", _s(), "after it an agent reports `start_timeout`; 0: never", "provisioner", 0),
    Variable("by_tag", "no", "name the tag in each report, so that NATS checks it", "provisioner", words=("no", "yes")),
    Variable("agent_limits", "", "of each agent's processes, as setrlimit has them: nofile=99,nproc=50", "provisioner"),
    Variable("stop_grace", _s(seconds=10), "what processes get between SIGTERM and SIGKILL", "provisioner"),
)  # fmt: skip

CALLOUT: Final = (
    Variable(
        "callout_seed",
        "",
        "the account nkey that signs answers; its public key is in nats.conf",
        "callout",
        has_flag=False,
    ),
    Variable("agent_login", _s(hours=24), "how long an agent's login holds before it must come again", "callout", 1000),
)

STREAMS: Final = (
    Variable("stream_replicas", "1", "copies of each stream: 1, 3 or 5", "migrate", words=("1", "3", "5")),
    Variable("events_age", _s(days=7), "how long events wait for an engine", "migrate"),
    Variable("logs_age", _s(days=7), "how long build logs are kept", "migrate"),
    Variable("dead_age", _s(days=30), "how long messages nobody could use are kept", "migrate"),
    Variable("chats_per_subject", 10_000, "announcements kept per chat and state", "migrate"),
    Variable("events_mib", 0, "MiB that events may take; beyond, reports and commands wait; 0: no limit", "migrate", 0),
    Variable("logs_mib", 0, "MiB that build logs may take, the oldest go; 0: no limit", "migrate", 0),
    Variable("chats_mib", 0, "MiB that announcements may take, the oldest go; 0: no limit", "migrate", 0),
    Variable("dead_mib", 0, "MiB that messages nobody could use may take, the oldest go; 0: no limit", "migrate", 0),
    Variable("ack_wait", _s(seconds=30), "after it another engine takes over what a dead one held", "migrate", 20_000),
    Variable("max_ack_pending", 10_000, "inputs that all engines together may hold", "migrate"),
    Variable("job_lease", _s(seconds=30), "after it another provisioner takes over what a dead one held", "migrate"),
)

CLIENT: Final = (
    Variable("request_timeout", _s(seconds=5), "how long one request waits for its answer", "client", has_flag=False),
    Variable("tenant", "", "the organization that one's user is limited to, if it is to one", "client", has_flag=False),
    Variable("request_attempts", 3, "how often it is asked", "client", has_flag=False),
    Variable("tool_wait", _s(minutes=22), "how long a tool waits for a workspace", "client", has_flag=False),
    Variable(
        "dial_validation_delay",
        _s(seconds=5),
        "a dial that is slower is checked with the engine",
        "client",
        has_flag=False,
    ),
    Variable("dial_limit", _s(seconds=30), "how long a dial may take", "client", has_flag=False),
    Variable("resolve_attempts", 2, "how often a chat that moves meanwhile is followed", "client", has_flag=False),
    Variable(
        "disconnected_advice_after", _s(seconds=90), "after it stop and start are advised", "client", has_flag=False
    ),
    Variable(
        "discovery_limit", _s(seconds=5), "how long a turn's start may wait for the workspace", "client", has_flag=False
    ),
)

MCP: Final = (
    Variable("mcp_chat", "", "the chat whose tools `workspaced mcp` serves; else each call says its own", "client"),
    Variable("mcp_owner_id", "", "its owner; else whom a call names, else the local stack's own", "client"),
    Variable("mcp_owner_name", "", "their name; the same", "client"),
    Variable("mcp_organization", "", "its organization; the same", "client"),
    Variable(
        "mcp_token", "", "what clients of `workspaced mcp --http` show as a bearer token", "client", has_flag=False
    ),
)

VARIABLES: Final = {
    each.name: each for each in (*WHERE, *SETTINGS, *ENGINE, *PROVISIONER, *CALLOUT, *STREAMS, *CLIENT, *MCP)
}

OF_WORKSPACES: Final = frozenset({
    "WORKSPACED_AGENT_CONFIG", "WORKSPACED_AGENT_ID", "WORKSPACED_AGENT_NAME", "WORKSPACED_BUILD_ID",
    "WORKSPACED_OWNER_NAME", "WORKSPACED_WORKSPACE_ID", "WORKSPACED_WORKSPACE_NAME",
})  # fmt: skip
"""What a provisioner tells the processes of a workspace; no settings, and the commands work there too."""
