"""What each program is told, put together from its sources."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from workspaced.app.callout import CalloutConfig
from workspaced.app.given import BadSetting
from workspaced.app.sources import Sources
from workspaced.app.variables import ENGINE, PROVISIONER, STREAMS
from workspaced.bus.request import Patience
from workspaced.bus.streams import Limits
from workspaced.fsm.settings import NAMES, Settings
from workspaced.provisioners.agent.config import NatsLogin, Tls
from workspaced.provisioners.local.limits import parse_limits
from workspaced.provisioners.local.program import ProvisionerConfig

MIB: Final = 1024**2
WORKSPACES: Final = "workspaces"
"""The folder of the workspaces within a stack's folder."""


class ServeConfig(Struct, frozen=True):
    """All that an engine is told."""

    nats_url: str
    database_url: str
    user: str | None = "engine"
    password: str | None = None
    inbox_prefix: str = "_INBOX_engine"
    nkey_seed: str | None = None
    tls: Tls | None = None
    defaults: Settings = Settings()
    """Under the stored settings."""
    http_host: str = "127.0.0.1"
    http_port: int = 9750
    """0: any free one."""
    batch_cap: int = 256
    pool_size: int = 10
    statement_cache_size: int = 100
    drain_limit: timedelta = timedelta(seconds=20)
    agent_key: str = ""
    """What the secrets of builds' agents are made with; empty: builds have none."""
    tenants: bool = False
    """Announcements go to each organization's own subjects too."""

    @property
    def login(self) -> NatsLogin:
        """How it connects."""
        return NatsLogin(self.nats_url, self.user, self.password, self.inbox_prefix, self.nkey_seed, self.tls)


def serve_config(
    sources: Sources, login: NatsLogin | None = None, database_url: str | None = None, *, own_port: bool = False
) -> ServeConfig:
    """An engine's; `login` and `database_url` are those of a stack that is being started.

    With `own_port` any free port serves, unless one was chosen.
    """
    login = login or sources.login("engine")
    chosen = _of(sources, [each.name for each in ENGINE if each.name != "log_level"])
    if own_port and not sources.is_given("http_port"):
        chosen["http_port"] = 0
    chosen["tenants"] = chosen["tenants"] == "yes"
    return ServeConfig(
        nats_url=login.url,
        user=login.user,
        password=login.password,
        inbox_prefix=login.inbox_prefix,
        nkey_seed=login.nkey_seed,
        tls=login.tls,
        database_url=database_url or sources.database_url(),
        defaults=settings_of(sources),
        **chosen,
    )


def settings_of(sources: Sources) -> Settings:
    """The settings that change at run time, as far as none is stored. Raises BadSetting."""
    return Settings(**_of(sources, NAMES))


def callout_config(
    sources: Sources, *, login: NatsLogin | None = None, database_url: str | None = None, seed: str = ""
) -> CalloutConfig:
    """An auth callout's; what is given is that of a stack that is being started. Raises BadSetting without a seed."""
    chosen = _of(sources, ["callout_seed", "agent_login", "statement_cache_size"])
    chosen["seed"] = seed or chosen.pop("callout_seed")
    chosen.pop("callout_seed", None)
    if not chosen["seed"]:
        raise BadSetting("WORKSPACED_CALLOUT_SEED is not set; docs/security.md says how it is made")
    return CalloutConfig(
        nats=login or sources.login("callout"), database_url=database_url or sources.database_url(), **chosen
    )


def stream_limits(sources: Sources) -> Limits:
    """What streams and consumers are made with."""
    chosen = _of(sources, [each.name for each in STREAMS])
    for stream in ("events", "logs", "chats", "dead"):
        chosen[f"{stream}_bytes"] = chosen.pop(f"{stream}_mib") * MIB or -1
    return Limits(replicas=int(chosen.pop("stream_replicas")), **chosen)


def provisioner_config(
    sources: Sources, *, tag: str, login: NatsLogin, agent_login: NatsLogin, end_agents: bool
) -> ProvisionerConfig:
    """A local provisioner's; its agents connect as `agent_login`."""
    chosen = _of(sources, [each.name for each in PROVISIONER])
    root = chosen.pop("workspaces")
    try:
        parse_limits(chosen["agent_limits"])
    except ValueError as error:
        raise BadSetting(f"WORKSPACED_AGENT_LIMITS: {error}") from None
    if not sources.is_given("job_extend"):
        chosen["job_extend"] = None  # a third of the lease, which the queue knows
    return ProvisionerConfig(
        nats=login,
        agent_nats=agent_login,
        root=Path(root) if root else sources.folder / WORKSPACES,
        tag=tag,
        end_agents=end_agents,
        by_tag=chosen.pop("by_tag") == "yes",
        tenants=sources.values(["tenants"])["tenants"] == "yes",
        drain_limit=_of(sources, ["drain_limit"])["drain_limit"],
        **chosen,
    )


def patience(sources: Sources) -> Patience:
    """How long a client asks."""
    chosen = _of(sources, ["request_timeout", "request_attempts"])
    return Patience(chosen["request_timeout"], chosen["request_attempts"])


def _of(sources: Sources, names: list[str] | tuple[str, ...]) -> dict[str, Any]:
    return sources.values(names)
