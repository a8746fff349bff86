"""Where values come from: flag, environment, file, running stack, default; and what is refused by name."""

import os
from datetime import timedelta
from pathlib import Path

import click
import pytest

from workspaced.app.cli import COMMANDS, cli
from workspaced.app.config import provisioner_config, serve_config, stream_limits
from workspaced.app.connection import Connection, write_connection
from workspaced.app.credentials import ROLES, Role
from workspaced.app.given import BadSetting
from workspaced.app.sources import Sources, default_folder
from workspaced.app.variables import VARIABLES
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.settings import COUNTS, NAMES, Settings

SERVERS = {"NATS_URL": "nats://there:4222", "DATABASE_URL": "postgresql://there/db"}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The folder of a stack that runs: in this very process."""
    roles = {name: Role(name, f"{name}-password", f"_INBOX_{name}") for name in ROLES}
    write_connection(tmp_path, Connection("nats://here:1", "postgresql://here/db", "http://here:2", os.getpid(), roles))
    return tmp_path


def test_an_engine_on_servers_of_ones_own() -> None:
    """Two variables are enough; everything else has a default."""
    config = serve_config(Sources({}, SERVERS))

    assert (config.nats_url, config.database_url) == ("nats://there:4222", "postgresql://there/db")
    assert (config.user, config.password, config.inbox_prefix) == (None, None, "_INBOX")
    assert config.defaults == Settings()


def test_every_stored_setting_has_a_variable() -> None:
    """`WORKSPACED_<NAME IN CAPITALS>` sets the default under the stored value, for each of them."""
    given = {name: "7" if name in COUNTS else "1h2m3s" for name in NAMES}
    environ = SERVERS | {f"WORKSPACED_{name.upper()}": text for name, text in given.items()}
    config = serve_config(Sources({}, environ))

    assert {getattr(config.defaults, name) for name in NAMES} == {timedelta(hours=1, minutes=2, seconds=3), 7}


def test_a_flag_wins_over_the_environment() -> None:
    """And the environment over the default."""
    environ = SERVERS | {"WORKSPACED_BATCH_CAP": "5", "WORKSPACED_POOL_SIZE": "6"}
    config = serve_config(Sources({"batch_cap": "7", "pool_size": None}, environ))

    assert (config.batch_cap, config.pool_size, config.http_port) == (7, 6, 9750)


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    """`*_FILE` names it, as secrets come to containers; the variable itself wins over it."""
    (tmp_path / "password").write_text("s3cret\n")
    environ = SERVERS | {"WORKSPACED_USER": "chatd", "WORKSPACED_PASSWORD_FILE": str(tmp_path / "password")}

    login = Sources({}, environ).login("chatd")
    assert (login.user, login.password, login.inbox_prefix) == ("chatd", "s3cret", "_INBOX_chatd")
    closer = Sources({}, environ | {"WORKSPACED_PASSWORD": "closer"}).login("chatd")
    assert closer.password == "closer"  # noqa: S105  # made up


def test_a_running_stack_is_found_by_its_folder(stack: Path) -> None:
    """By --dir or WORKSPACED_DIR; each role with its own credentials."""
    for sources in (Sources({"dir": str(stack)}, {}), Sources({}, {"WORKSPACED_DIR": str(stack)})):
        assert sources.database_url() == "postgresql://here/db"
        assert sources.login("admin").password == "admin-password"  # noqa: S105  # made up
        assert sources.login("chatd").inbox_prefix == "_INBOX_chatd"


def test_what_is_said_closer_by_wins_over_a_stack(stack: Path) -> None:
    """A --dir wins over NATS_URL, NATS_URL over the stack of WORKSPACED_DIR."""
    assert Sources({"dir": str(stack)}, SERVERS).login("chatd").url == "nats://here:1"
    assert Sources({}, SERVERS | {"WORKSPACED_DIR": str(stack)}).login("chatd").url == "nats://there:4222"
    assert Sources({"dir": str(stack), "nats_url": "nats://flag"}, SERVERS).login("chatd").url == "nats://flag"


def test_no_stack_is_said_with_what_to_do(tmp_path: Path) -> None:
    """Neither a stack nor an address: the error names both ways out."""
    with pytest.raises(Unavailable, match=r"workspaced up.*wait until it is up.*NATS_URL"):
        Sources({}, {"WORKSPACED_DIR": str(tmp_path)}).login("chatd")


def test_a_killed_stack_is_called_so(stack: Path) -> None:
    """A connection.json whose process is gone belongs to nobody."""
    gone = Connection("nats://here:1", "postgresql://here/db", "http://here:2", 2**22 - 1, {})
    write_connection(stack, gone)
    with pytest.raises(Unavailable, match=r"was killed.*start it again"):
        Sources({"dir": str(stack)}, {}).login("chatd")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"WORKSPACED_CREATING_DEADLIN": "5m"},
            "unknown setting WORKSPACED_CREATING_DEADLIN; did you mean WORKSPACED_",
        ),
        ({"WORKSPACED_NO_SUCH_THING": "5m"}, "unknown setting WORKSPACED_NO_SUCH_THING; docs/settings.md"),
        ({"WORKSPACED_PASSWORD_FILE": "/nowhere"}, "WORKSPACED_PASSWORD_FILE: cannot read /nowhere"),
        ({"WORKSPACED_CREATING_DEADLINE": "5"}, "WORKSPACED_CREATING_DEADLINE '5': .*missing unit"),
        ({"WORKSPACED_CREATING_DEADLINE": "0s"}, "WORKSPACED_CREATING_DEADLINE '0s': must be longer than zero"),
        ({"WORKSPACED_WORKSPACE_TTL": "-1h"}, "WORKSPACED_WORKSPACE_TTL '-1h': duration must be non-negative"),
        ({"WORKSPACED_BATCH_CAP": "many"}, "WORKSPACED_BATCH_CAP 'many': must be a whole number"),
        ({"WORKSPACED_BATCH_CAP": "0"}, "WORKSPACED_BATCH_CAP '0': must be from 1"),
        ({"WORKSPACED_LOG_LEVEL": "loud"}, "WORKSPACED_LOG_LEVEL 'loud': must be one of: debug"),
        (
            {"NATS_URL": "http://u:secret@there:4222"},
            r"^NATS_URL: must begin with nats:// or tls:// or ws:// or wss://$",
        ),
        ({"DATABASE_URL": "mysql://u:secret@there/x"}, r"^DATABASE_URL: must begin with postgresql:// or postgres://$"),
        ({"WORKSPACED_DRAIN_LIMIT": "0s"}, "WORKSPACED_DRAIN_LIMIT '0s': must be at least 1ms"),
    ],
)
def test_bad_settings_are_refused_by_name(environ: dict[str, str], said: str) -> None:
    """One line that names the variable and says what is wrong with it."""
    with pytest.raises(BadSetting, match=said):
        Sources({}, environ).values(VARIABLES)


def test_a_bad_flag_is_named_as_the_flag() -> None:
    """Not as the variable that nobody set."""
    with pytest.raises(BadSetting, match="--batch-cap 'x'"):
        serve_config(Sources({"batch_cap": "x"}, SERVERS))


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if name not in {"dead", "settings", "templates"}))
def test_no_command_takes_a_secret_on_its_line(name: str) -> None:
    """Others can read it there."""
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert {option.name for option in command.params}.isdisjoint(
        each.name for each in VARIABLES.values() if not each.has_flag
    )


def test_an_empty_variable_is_not_set() -> None:
    """As shells and compose files leave them."""
    assert serve_config(Sources({}, SERVERS | {"WORKSPACED_BATCH_CAP": ""})).batch_cap == 256


def test_a_workspace_may_call_the_commands() -> None:
    """What a provisioner tells a workspace's processes is no setting, and not unknown either."""
    environ = dict.fromkeys(("WORKSPACED_AGENT_ID", "WORKSPACED_WORKSPACE_ID", "WORKSPACED_OWNER_NAME"), "x")

    assert Sources({}, environ).is_given("user") is False


def test_the_default_folder_follows_xdg() -> None:
    """XDG_STATE_HOME, else ~/.local/state."""
    assert default_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/workspaced")
    assert default_folder({}) == Path.home() / ".local/state/workspaced"


def test_streams_and_provisioner_take_theirs(tmp_path: Path) -> None:
    """The other programs' settings end up where they are used; a third of the lease unless somebody chose."""
    environ = SERVERS | {"WORKSPACED_STREAM_REPLICAS": "3", "WORKSPACED_JOB_LEASE": "9s", "WORKSPACED_CONCURRENCY": "2"}
    sources = Sources({"dir": str(tmp_path), "nats_url": "nats://there"}, environ)
    login = sources.login("provisioner")
    config = provisioner_config(sources, tag="t", login=login, agent_login=sources.agent_login(), end_agents=False)

    assert (stream_limits(sources).replicas, stream_limits(sources).job_lease) == (3, timedelta(seconds=9))
    assert (config.concurrency, config.job_extend, config.root) == (2, None, tmp_path / "workspaces")
    assert (config.agent_nats.user, config.agent_nats.inbox_prefix) == ("agent", "_INBOX_agent")


def test_streams_are_limited_in_mebibytes() -> None:
    """JetStream takes bytes, and -1 for no limit."""
    limits = stream_limits(Sources({"chats_mib": "2", "dead_mib": "3"}, SERVERS | {"WORKSPACED_LOGS_MIB": "1"}))

    found = (limits.events_bytes, limits.logs_bytes, limits.chats_bytes, limits.dead_bytes)
    assert found == (-1, 1_048_576, 2_097_152, 3_145_728)


def test_every_default_is_a_value_it_would_take() -> None:
    """The table agrees with itself: each default's text parses back to the default."""
    parsed = {name: each.parse(each.default_text) for name, each in VARIABLES.items() if each.default_text}

    assert parsed == {name: each.default for name, each in VARIABLES.items() if each.default_text}
