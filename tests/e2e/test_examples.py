"""The examples run as they stand there, against a stack that is up."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.command_line import SAFETY_NET, CommandLine
from tests.e2e.node import EXAMPLES
from tests.npm import needs_node

SHELL = EXAMPLES / "workspace.sh"
ODD = 'no "password" at \\all'


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, with a stack that is up."""
    cli = CommandLine({"WORKSPACED_DIR": str(tmp_path_factory.mktemp("examples") / "D")})
    with cli.up():
        yield cli


@pytest.fixture
def template(cli: CommandLine) -> str:
    """The id of the stack's own template."""
    return str(cli.json("templates", "list")["templates"][0]["id"])


class Daemon:
    """A chat daemon that reads a JSON object a line and answers with another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdin, process.stdout

    def ask(self, *questions: Mapping[str, object]) -> list[dict[str, Any]]:
        """The answers, by the questions' ids."""
        for question in questions:
            self._in.write(json.dumps(question) + "\n")
        self._in.flush()
        answers = [json.loads(self._out.readline()) for _ in questions]
        return sorted(answers, key=lambda answer: str(answer["id"]))

    def end(self) -> int:
        """Its exit code once nothing more comes."""
        self._in.close()
        return self._process.wait(SAFETY_NET)


def start(cli: CommandLine, *command: str | Path) -> subprocess.Popen[str]:
    """A daemon with the stack's environment."""
    return subprocess.Popen(command, env=cli.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_chat_daemon(cli: CommandLine, template: str) -> None:
    """A model's tool calls for two chats at once; the agent of a running workspace is reached."""
    chats = [str(uuid4()), str(uuid4())]
    create: dict[str, object] = {"tool": "create_workspace", "arguments": {"template_id": template}}
    with start(cli, sys.executable, "-P", EXAMPLES / "chat_daemon.py") as process:
        daemon = Daemon(process)
        made = daemon.ask(*({"chat": chat, "id": f"toolu_{number}"} | create for number, chat in enumerate(chats)))
        again = daemon.ask({"chat": chats[0], "id": "toolu_0"} | create)
        stopped = daemon.ask({"chat": chats[0], "id": "toolu_3", "tool": "stop_workspace", "arguments": {}})
        code = daemon.end()

    assert [(answer["result"]["created"], answer["agent"]) for answer in made] == [(True, "ready")] * 2
    assert again == made[:1]
    assert stopped[0]["result"]["stopped"]
    assert stopped[0]["agent"].startswith("workspace has no running agent; ")
    assert code == 0
    for chat in chats:
        cli.json("delete", chat)


@needs_node
def test_chat_daemon_in_node(cli: CommandLine, template: str, node: Path) -> None:
    """The official client of another language needs subjects and JSON, nothing of ours."""
    chats = [str(uuid4()), str(uuid4())]
    with start(cli, "node", node / "chat_daemon.js") as process:
        daemon = Daemon(process)
        made = daemon.ask(
            *(
                {"chat": chat, "id": f"toolu_{number}", "verb": "create", "template_id": template}
                for number, chat in enumerate(chats)
            )
        )
        exists = daemon.ask({"chat": chats[0], "id": "toolu_2", "verb": "create", "template_id": template})
        stopped = daemon.ask({"chat": chats[0], "id": "toolu_3", "verb": "stop"})
        nobody = daemon.ask({"chat": str(uuid4()), "id": "toolu_4", "verb": "stop"})
        code = daemon.end()

    assert [(answer["outcome"], answer["state"], answer["agent"]) for answer in made] == [
        ("accepted", "ready", "ready")
    ] * 2
    assert exists[0]["outcome"] == "exists"
    assert (stopped[0]["state"], stopped[0]["agent"]) == ("idle", None)
    assert nobody == [{"id": "toolu_4", "error": "chat has no workspace; use create_workspace first"}]
    assert code == 0
    for chat in chats:
        cli.json("delete", chat)


@pytest.fixture
def shell(cli: CommandLine) -> CommandLine:
    """The environment of the example for the shell."""
    stack = json.loads(Path(cli.environ["WORKSPACED_DIR"], "connection.json").read_text())
    who = stack["roles"]["chatd"]
    login = {"WORKSPACED_USER": who["user"], "WORKSPACED_PASSWORD": who["password"]}
    return CommandLine({"NATS_URL": stack["nats_url"]} | login)


def asked(shell: CommandLine, verb: str, body: Mapping[str, object]) -> tuple[int, Any, str]:
    """Exit code, answer and what went wrong."""
    command: tuple[str | Path, ...] = (SHELL, verb, json.dumps(body, ensure_ascii=False))
    done = subprocess.run(command, env=shell.environ, capture_output=True, text=True, check=False, timeout=SAFETY_NET)
    return done.returncode, done.stdout and json.loads(done.stdout), done.stderr


def test_workspace_in_bash(cli: CommandLine, shell: CommandLine, template: str) -> None:
    """Bash alone makes a workspace, sees it get ready, and is told what is wrong."""
    chat, organization = str(uuid4()), cli.json("templates", "list")["templates"][0]["organization_id"]
    create = {"chat_id": chat, "request_id": "toolu_01", "template_id": template, "organization_id": organization}
    create["owner"] = {"id": str(uuid4()), "name": "ada"}

    unknown = asked(shell, "get", {"chat_id": chat, "note": "größer als ✓"})
    with subprocess.Popen([SHELL, "watch", chat], env=shell.environ, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout
        made = asked(shell, "create", create)
        seen = [json.loads(watch.stdout.readline())]
        while seen[-1].get("to", seen[-1].get("state")) != "ready":
            seen.append(json.loads(watch.stdout.readline()))
        watch.kill()
    again = asked(shell, "create", create)
    nobody = asked(shell, "frobnicate", {"chat_id": chat})
    refused = asked(shell.but(WORKSPACED_PASSWORD=ODD), "get", {"chat_id": chat})

    assert (unknown[0], unknown[1]["code"]) == (1, "chat_not_found")
    assert (made[0], made[1]["outcome"]) == (0, "accepted")
    versions = [message["version"] for message in seen]
    assert versions == list(range(versions[0], versions[0] + len(versions)))
    assert (again[0], again[1]["replayed"], again[1]["snapshot"]["state"]) == (0, True, "ready")
    assert nobody == (1, "", "NATS: 'Permissions Violation for Publish to \"ws.api.frobnicate\"'\n")
    assert refused == (1, "", "NATS: 'Authorization Violation'\n")
    cli.json("delete", chat)


def test_shell_is_short() -> None:
    """Forty lines, comments too."""
    assert len(SHELL.read_text().splitlines()) <= 40


def test_chat_daemon_is_short() -> None:
    """Forty lines of code show how little it takes."""
    code = re.sub(r'""".*?"""', "", (EXAMPLES / "chat_daemon.py").read_text(), flags=re.DOTALL)

    assert len([line for line in code.splitlines() if line.strip()]) <= 40


def test_no_registry_is_named() -> None:
    """The lock file pins versions and hashes, wherever they come from."""
    lock = json.loads((EXAMPLES / "node" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert "resolved" not in (EXAMPLES / "node" / "package-lock.json").read_text()
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
