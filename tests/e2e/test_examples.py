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
from tests.e2e.node import EXAMPLES, needs_node


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
