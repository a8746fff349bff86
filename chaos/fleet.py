"""All programs of a chaos run: engines, callouts, provisioners, and hosts of agents."""

from pathlib import Path

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


def programs(servers: Servers, folder: Path, seed: int, engines: int) -> dict[str, list[Program]]:
    """Engines, callouts, provisioners and hosts of agents, not started yet."""
    given = {"url": servers.nats.url, "login": admin_login(servers)}
    agents = given | {"seed": seed, "kept": str(folder / "agents.json")}
    return {
        "engine": [engine(servers, f"engine{n}", folder) for n in range(engines)],
        "callout": [callout(servers, name, folder) for name in CALLOUTS],
        "provisioner": [
            Program(
                name,
                script("provisioner.py"),
                given | {"name": name, "seed": seed * 10 + n},
                log=folder / f"{name}.log",
            )
            for n, name in enumerate(PROVISIONERS)
        ],
        "agents": [Program("agents", script("agents.py"), agents, log=folder / "agents.log")],
    }


def engine(servers: Servers, name: str, folder: Path) -> Program:
    """An engine, with deadlines so short that many pass."""
    key = servers.nats.credentials.agent_key
    environment = login_of(servers, "engine") | {"WORKSPACED_HTTP_PORT": "0", "WORKSPACED_AGENT_KEY": key} | DEADLINES
    return Program(name, [console_script(), "serve"], environment=environment, log=folder / f"{name}.log")


def callout(servers: Servers, name: str, folder: Path) -> Program:
    """What lets agents in."""
    environment = login_of(servers, "callout") | {"WORKSPACED_CALLOUT_SEED": servers.nats.credentials.callout_seed}
    return Program(name, [console_script(), "callout"], environment=environment, log=folder / f"{name}.log")


def login_of(servers: Servers, role: str) -> dict[str, str]:
    """Both servers, and how one of our own programs connects as `role`."""
    return {
        "NATS_URL": servers.nats.url,
        "DATABASE_URL": servers.postgres.dsn,
        "WORKSPACED_USER": role,
        "WORKSPACED_PASSWORD": servers.nats.credentials.role(role).password,
    }


def admin_login(servers: Servers) -> dict[str, str]:
    """How to connect as the administrator."""
    role = servers.nats.roles["admin"]
    return {"user": role.user, "password": role.password, "inbox_prefix": role.inbox_prefix}
