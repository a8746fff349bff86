"""All programs of a chaos run: engines, callouts, provisioners, and hosts of agents."""

from collections.abc import Iterator
from pathlib import Path

from network import Place
from processes import Program, console_script, script

from workspaced.app.embedded import Servers

CALLOUTS = ("callout0", "callout1")
PROVISIONERS = ("provisioner0", "provisioner1")
DEADLINES = {
    "WORKSPACED_CREATING_DEADLINE": "30s",
    "WORKSPACED_BUILDING_DEADLINE": "30s",
    "WORKSPACED_BINDING_DEADLINE": "5s",
    "WORKSPACED_CONNECTING_DEADLINE": "10s",
    "WORKSPACED_STARTING_DEADLINE": "15s",
    "WORKSPACED_AGENT_INACTIVE_GRACE": "5s",
    "WORKSPACED_JOB_PENDING_LIMIT": "60s",
    "WORKSPACED_JOB_RUNNING_LIMIT": "60s",
}


def programs(
    servers: Servers, places: Iterator[Place], folder: Path, seed: int, engines: int
) -> dict[str, list[Program]]:
    """Engines, callouts, provisioners and hosts of agents, each in the next of `places`, not started yet."""
    chaotic = {name: {"name": name, "seed": seed * 10 + n} for n, name in enumerate(PROVISIONERS)}
    agents = {"seed": seed, "kept": str(folder / "agents.json")}
    return {
        "engine": [engine(servers, next(places), f"engine{n}", folder) for n in range(engines)],
        "callout": [callout(servers, next(places), name, folder) for name in CALLOUTS],
        "provisioner": [
            own(servers, next(places), name, "provisioner.py", given, folder) for name, given in chaotic.items()
        ],
        "agents": [own(servers, next(places), "agents", "agents.py", agents, folder)],
    }


def engine(servers: Servers, place: Place, name: str, folder: Path) -> Program:
    """An engine, with deadlines so short that many pass."""
    more = {"WORKSPACED_HTTP_PORT": "0", "WORKSPACED_AGENT_KEY": servers.nats.credentials.agent_key} | DEADLINES
    environment = login_of(servers, place, "engine") | more
    return Program(name, [console_script(), "serve"], place, environment=environment, log=folder / f"{name}.log")


def callout(servers: Servers, place: Place, name: str, folder: Path) -> Program:
    """What lets agents in."""
    more = {"WORKSPACED_CALLOUT_SEED": servers.nats.credentials.callout_seed}
    environment = login_of(servers, place, "callout") | more
    return Program(name, [console_script(), "callout"], place, environment=environment, log=folder / f"{name}.log")


def own(servers: Servers, place: Place, name: str, file: str, given: dict[str, object], folder: Path) -> Program:
    """A script of this folder, which is told where NATS is and what is `given`."""
    login = {"url": place.nats_url, "login": admin_login(servers)}
    return Program(name, script(file), place, login | given, log=folder / f"{name}.log")


def login_of(servers: Servers, place: Place, role: str) -> dict[str, str]:
    """Both servers, and how one of our own programs connects as `role`."""
    return {
        "NATS_URL": place.nats_url,
        "DATABASE_URL": place.dsn,
        "WORKSPACED_USER": role,
        "WORKSPACED_PASSWORD": servers.nats.credentials.role(role).password,
    }


def admin_login(servers: Servers) -> dict[str, str]:
    """How to connect as the administrator."""
    role = servers.nats.roles["admin"]
    return {"user": role.user, "password": role.password, "inbox_prefix": role.inbox_prefix}
