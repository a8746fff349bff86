"""The programs: how they start, refuse, end, and take over."""

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import CommandLine, processes_about
from workspaced.app.embedded_nats import NatsServer


@pytest.fixture
def cli(folder: Path) -> Iterator[CommandLine]:
    """The command line for a folder that nothing is left to run from."""
    yield CommandLine({"WORKSPACED_DIR": str(folder)})
    assert processes_about(folder) == []


def agents_of(folder: Path, workspace: str) -> list[int]:
    """The pids in the workspace's agent.json."""
    record = json.loads((folder / "workspaces" / workspace / "agent.json").read_text())
    return [agent["pid"] for agent in record["agents"]]


def test_up_is_taken_over_after_a_kill_and_ends_cleanly(cli: CommandLine, folder: Path) -> None:
    """After SIGKILL the next `up` adopts the agent that still runs; after SIGTERM no process is left, nor a file."""
    with cli.running("up", "--json") as first:
        first.stdout.readline()
        created = cli.json("create")
        workspace = created["snapshot"]["workspace"]["id"]
        agents = agents_of(folder, workspace)
        first.end(signal.SIGKILL)
    killed = cli.run("ps")
    assert killed.returncode == 6
    assert "was killed" in killed.stderr

    with cli.running("up", "--json") as second:
        second.stdout.readline()
        assert cli.lines("watch", created["chat_id"], "--until", "ready", "--json")
        assert agents_of(folder, workspace) == agents
        assert second.end() == 0
    assert not (folder / "connection.json").exists()
    assert processes_about(folder) == []

    with cli.running("up", "--json") as third:
        third.stdout.readline()
        cli.lines("watch", created["chat_id"], "--until", "ready", "--json")
        assert agents_of(folder, workspace) != agents
        assert third.end(signal.SIGINT) == 0


def test_up_may_be_ended_while_it_starts(cli: CommandLine) -> None:
    """SIGTERM before it answers: exit 0, nothing left, and the folder is good for the next one."""
    with cli.but(WORKSPACED_LOG_LEVEL="info").running("up", "--json") as up:
        assert "starting both servers" in up.stderr.readline()
        assert up.end() == 0
        assert up.stdout.read() == ""
    with cli.running("up", "--json") as up:
        assert json.loads(up.stdout.readline())["template"] == "shell"
        assert up.end() == 0


def test_up_may_be_interrupted_while_it_starts(cli: CommandLine, folder: Path) -> None:
    """Ctrl-C in a terminal reaches what it started too: the making of Postgres' folder ends as a whole."""
    with cli.but(WORKSPACED_LOG_LEVEL="info").running("up", "--json") as up:
        assert "starting both servers" in up.stderr.readline()
        while not (folder / "postgres.new" / "base").exists() and not (folder / "postgres").exists():
            assert up.process.poll() is None
        assert up.interrupt() == 0
        assert "error" not in up.stderr.read()
    assert (folder / "postgres").exists()


def test_an_unknown_setting_is_refused(cli: CommandLine) -> None:
    """Before anything starts, by name, exit code 2."""
    done = cli.but(WORKSPACED_CREATING_DEADLIN="5m").run("up")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: unknown setting WORKSPACED_CREATING_DEADLIN; did you mean WORKSPACED_CREATING_DEADLINE?"
        " (invalid_setting)\n"
    )


def test_commands_without_a_stack_say_what_to_do(cli: CommandLine) -> None:
    """One line, exit code 6; the doctor says the same and goes on."""
    done = cli.run("ps")
    assert (done.returncode, done.stdout) == (6, "")
    assert "workspaced up" in done.stderr

    ailing = cli.run("doctor", "--json")
    failing = [check["name"] for check in json.loads(ailing.stdout)["checks"] if not check["ok"]]
    assert (ailing.returncode, failing) == (1, ["stack"])


def test_programs_on_servers_of_ones_own(cli: CommandLine, folder: Path, nats: NatsServer, database: str) -> None:
    """migrate, serve and provisioner as a deployment runs them: all they need to know comes from the environment."""
    folder.mkdir(exist_ok=True)

    def as_role(role: str) -> CommandLine:
        secret = folder / f"{role}.password"
        secret.write_text(nats.roles[role].password)
        return cli.but(
            NATS_URL=nats.url,
            DATABASE_URL=database,
            WORKSPACED_USER=role,
            WORKSPACED_PASSWORD_FILE=str(secret),
            WORKSPACED_AGENT_PASSWORD=nats.roles["agent"].password,
            WORKSPACED_HTTP_PORT="0",
        )

    early = as_role("engine").run("serve")
    assert early.returncode != 0
    assert early.stderr.count("\n") == 1
    assert "workspaced migrate" in early.stderr
    assert as_role("admin").json("migrate", "--provisioner-tag", "mine")["provisioner_tags"] == ["mine"]

    with as_role("engine").running("serve") as engine:
        assert any("/readyz" in line for line in iter(engine.stderr.readline, ""))
        template = folder / "plain.json"
        template.write_text('{"name": "plain", "provisioner": "mine", "source": {"startup_script": "true"}}')
        as_role("admin").json("templates", "put", template)
        with as_role("provisioner").running("provisioner", "--tag", "mine", "--end-agents") as provisioner:
            created = as_role("chatd").json("create")
            assert created["snapshot"]["state"] == "ready"
            assert as_role("inspector").json("show", created["chat_id"])["state"] == "ready"
            assert as_role("admin").run("doctor", "--tag", "mine").returncode == 0
            assert provisioner.end() == 0
        assert engine.end() == 0


def test_a_wrong_password_is_not_shown(cli: CommandLine, nats: NatsServer) -> None:
    """Who is refused is said, the secrets are not."""
    wrong = cli.but(
        NATS_URL=nats.url,
        WORKSPACED_USER="chatd",
        WORKSPACED_PASSWORD="hunter22",  # noqa: S106  # made up
        WORKSPACED_REQUEST_TIMEOUT="3s",
    )
    done = wrong.run("ps")

    assert done.returncode == 6
    assert "refuses user 'chatd'" in done.stderr
    assert "hunter22" not in done.stderr


def test_demo_tells_its_story(cli: CommandLine) -> None:
    """It ends well, shows what it promises, and leaves neither process nor folder."""
    with tempfile.TemporaryDirectory(prefix="workspaced-") as name:
        done = cli.but(TMPDIR=name).run("demo")

        assert (done.returncode, done.stderr) == (0, "")
        moves = [line.split() for line in done.stdout.splitlines() if "->" in line]
        assert [move for move in moves if move[2:5] == ["ready", "->", "connecting"]]
        assert "exists: the same workspace" in done.stdout
        assert "p50" in done.stdout
        assert processes_about(Path(name)) == []
        assert list(Path(name).iterdir()) == []
