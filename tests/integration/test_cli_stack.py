"""The commands for people, on one stack that `workspaced up` runs."""

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats
import pytest

from tests import broken
from tests.command_line import CommandLine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack's folder."""
    return tmp_path_factory.mktemp("stack") / "D"


@pytest.fixture(scope="module")
def cli(folder: Path) -> Iterator[CommandLine]:
    """The command line, with a stack that is up."""
    cli = CommandLine({"WORKSPACED_DIR": str(folder)})
    with cli.running("up", "--provisioner-tag", "other", "--json") as up:
        assert json.loads(up.stdout.readline())["dir"] == str(folder)
        yield cli
        assert up.end() == 0


def chat_with_workspace(cli: CommandLine) -> str:
    """A fresh chat that is ready."""
    created = cli.json("create", "--template", "shell", "-p", "greeting=good evening")
    assert created["snapshot"]["state"] == "ready"
    return str(created["chat_id"])


def test_up_tells_where_it_is(cli: CommandLine, folder: Path) -> None:
    """connection.json is its owner's alone and has all that a foreign program needs."""
    path = folder / "connection.json"
    told = json.loads(path.read_text())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(told) == {"nats_url", "database_url", "http_url", "pid", "roles"}
    assert set(told["roles"]) == {"admin", "engine", "chatd", "provisioner", "inspector"}
    assert told["roles"]["chatd"]["inbox_prefix"] == "_INBOX_chatd"
    assert cli.run("ps").returncode == 0


def test_a_second_up_is_refused(cli: CommandLine) -> None:
    """One line that says so; the first one runs on."""
    done = cli.run("up")

    assert (done.returncode, done.stdout) == (1, "")
    assert "a stack already runs in" in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_chat_from_create_to_delete(cli: CommandLine, folder: Path) -> None:
    """Every command answers with JSON of the wire, and each does what it says."""
    created = cli.json("create", "-p", "greeting=moin")
    chat, workspace = created["chat_id"], created["snapshot"]["workspace"]
    assert (created["outcome"], created["snapshot"]["state"]) == ("accepted", "ready")
    hello = (folder / "workspaces" / workspace["id"] / "work" / "hello.txt").read_text()
    assert hello == f"moin from {workspace['name']}\n"

    again = cli.json("create", "--chat", chat)
    assert (again["outcome"], again["snapshot"]["workspace"]["id"]) == ("exists", workspace["id"])

    assert cli.json("show", chat)["state"] == "ready"
    assert chat in [each["chat_id"] for each in cli.json("ps")["chats"]]
    assert workspace["id"] in [each["id"] for each in cli.json("ps", "--workspaces")["workspaces"]]

    dialed = [json.loads(line) for line in cli.lines("dial", chat, "--repeat", "2", "--json")]
    assert [(each["lifecycle"], each["requests"]) for each in dialed] == [("ready", 1), ("ready", 0)]

    stopped = cli.json("stop", chat[:8])["snapshot"]
    assert (stopped["state"], stopped["workspace"]["transition"]) == ("idle", "stop")
    nobody = cli.run("dial", chat)
    assert (nobody.returncode, nobody.stdout.startswith("workspace has no running agent")) == (1, True)
    assert cli.json("start", workspace["name"])["snapshot"]["state"] == "ready"
    restarted = cli.json("restart", chat)["snapshot"]
    assert (restarted["state"], restarted["workspace"]["build_number"]) == ("ready", 5)

    assert cli.json("delete", chat)["snapshot"]["workspace"]["deleted"] is True
    history = cli.json("history", chat)["transitions"]
    assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
    assert [entry["from"] for entry in history[1:]] == [entry["to"] for entry in history[:-1]]
    assert not (folder / "workspaces" / workspace["id"]).exists()


def test_a_child_shares_its_parents_workspace(cli: CommandLine) -> None:
    """attach, by chat and by workspace."""
    parent = chat_with_workspace(cli)
    workspace = cli.json("show", parent)["workspace"]
    by_chat = cli.json("attach", "--from-chat", parent)["snapshot"]
    by_name = cli.json("attach", "--workspace", workspace["name"])["snapshot"]

    assert [by_chat["workspace"]["id"], by_name["workspace"]["id"]] == [workspace["id"]] * 2
    assert [by_chat["state"], by_name["state"]] == ["ready", "ready"]


def test_what_a_person_reads(cli: CommandLine) -> None:
    """Each move on a line with its cause; tables in columns; no colours where there is no terminal."""
    chat = str(uuid4())
    told = cli.lines("create", "--chat", chat, "--template", "shell")
    assert told[0] == f"chat {chat}"
    assert [line.split()[3] for line in told[1:-1] if "->" in line][:2] == ["->", "->"]
    assert told[-1].startswith("ready: workspace ")

    (row,) = [line for line in cli.lines("ps") if line.startswith(chat[:8])]
    assert row.split()[1] == "ready"
    shown = cli.lines("show", chat)
    assert shown[0].split() == ["chat", chat]
    (output,) = [line.split()[1] for line in shown if line.startswith("output ")]
    assert "is up" in Path(output).read_text()
    assert cli.lines("history", chat)[0].split() == ["VERSION", "AT", "FROM", "TO", "CAUSE", "AFTER", "BUILD"]
    assert "agent main runs as process" in cli.run("logs", chat).stdout
    assert "\x1b" not in "".join(told + shown)


def test_watch_goes_on_until_told(cli: CommandLine) -> None:
    """A line of JSON per snapshot, the current one first, pushed until the state that was asked for."""
    chat = str(uuid4())
    assert cli.json("create", "--chat", chat, "--template", "shell", "--no-wait")["outcome"] == "accepted"
    seen = [json.loads(line) for line in cli.lines("watch", chat, "--until", "ready", "--json")]

    assert [each["version"] for each in seen] == sorted({each["version"] for each in seen})
    assert seen[-1]["state"] == "ready"


def test_a_startup_script_that_fails_is_told(cli: CommandLine, tmp_path: Path) -> None:
    """A template from a folder; its workspace fails with the reason, exit code 1, and its log can be read."""
    template = tmp_path / "broken"
    template.mkdir()
    (template / "template.toml").write_text(
        'description = "does not start"\n[source]\nenvironment = {WHERE = "here"}\n'
    )
    (template / "startup.sh").write_text("exit 3\n")
    (template / "build.sh").write_text('echo "building $WHERE"\n')
    first = cli.json("templates", "put", tmp_path)["template"]  # a folder of templates
    assert (first["name"], first["source"]["startup_script"]) == ("broken", "exit 3\n")

    created = cli.run("create", "--template", "broken")
    assert created.returncode == 1
    assert "startup scripts ended in start_error (startup_failed)" in created.stdout
    (chat,) = [each["chat_id"] for each in cli.json("ps", "--state", "failed")["chats"]]
    assert "building here" in "".join(cli.lines("logs", chat, "--follow"))

    (template / "startup.sh").write_text("true\n")
    second = cli.json("templates", "put", template)["template"]
    assert (second["id"], second["active_version_id"] != first["active_version_id"]) == (first["id"], True)
    assert cli.run("templates", "delete", "broken").returncode == 5  # in use
    assert cli.json("delete", chat)["snapshot"]["workspace"]["deleted"] is True
    assert cli.json("templates", "delete", "broken")["deleted"] is True
    assert "broken" not in [each["name"] for each in cli.json("templates", "list")["templates"]]


def test_presets_in_a_file_need_no_ids(cli: CommandLine, tmp_path: Path) -> None:
    """They keep those that they got, so that a file put again changes nothing."""
    file = tmp_path / "sized.toml"
    text = 'name = "sized"\nparameters = [{name = "size"}]\n[[presets]]\nname = "small"\nparameters = {size = "s"}\n'
    file.write_text(text)
    first, again = (cli.json("templates", "put", file)["template"] for _ in range(2))
    file.write_text(text + '[[presets]]\nname = "large"\nparameters = {size = "l"}\n')
    other = cli.json("templates", "put", file)["template"]

    assert again == first
    assert [preset["name"] for preset in other["presets"]] == ["small", "large"]
    assert other["presets"][0] == first["presets"][0]
    assert cli.json("templates", "delete", "sized")["deleted"] is True


def test_settings_change_at_run_time(cli: CommandLine) -> None:
    """All or none; what is in force is answered."""
    refused = cli.run("settings", "put", "creating_deadline=1m", "building_deadline=soon")
    assert refused.returncode == 3
    assert "building_deadline" in refused.stderr
    assert cli.json("settings", "get")["settings"]["creating_deadline"] == "10m"
    assert cli.json("settings", "put", "creating_deadline=9m")["settings"]["creating_deadline"] == "9m"


def test_doctor_finds_all_well(cli: CommandLine) -> None:
    """Every line ok; another tag has a queue that nobody serves, which is said with the next step."""
    assert [line for line in cli.lines("doctor") if not line.startswith("ok ")] == []
    ailing = cli.run("doctor", "--tag", "other")

    assert ailing.returncode == 1
    assert "workspaced provisioner --tag other" in ailing.stdout


def test_the_rest_answers(cli: CommandLine) -> None:
    """Commands that need no chat."""
    assert cli.json("dead", "list") == {"messages": [], "has_more": False}
    assert cli.json("migrate", "--provisioner-tag", "third")["migrations"] == []
    assert "stateDiagram" in cli.json("diagram")["mermaid"]
    assert cli.json("version")["version"]
    assert cli.run("--help").stdout.count("\n") > 20


NASTY = "\x1b]0;pwned\x07\x1b[2J\x9b31m\r\nready: all is well\u202egnp.exe\u2066\u2028\x7f"
"""Renames the window, erases, recolours, forges a line, turns the direction of reading."""


def say_nasty(folder: Path, chat: dict[str, Any]) -> None:
    """What a provisioner may say: log lines, the end of the chat's build, and what goes to DEAD."""
    stack = json.loads((folder / "connection.json").read_text())
    who, workspace, build = stack["roles"]["admin"], chat["workspace"], chat["build_id"]

    async def say() -> None:
        client = await nats.connect(
            stack["nats_url"], user=who["user"], password=who["password"], inbox_prefix=who["inbox_prefix"].encode()
        )
        ids = {"build_id": build, "build_number": workspace["build_number"], "at": "2026-11-25T00:00:00Z"}
        line = {"seq": 1, "at": ids["at"], "stage": NASTY, "level": NASTY, "output": NASTY}
        event = f"ws.event.{workspace['id']}.job."
        await broken.publish(client, f"{event}\x1b[31m\u202e".encode(), json.dumps({"x": NASTY}).encode())
        await broken.publish(client, f"{event}running".encode(), NASTY.encode())
        await broken.publish(client, f"ws.log.{workspace['id']}.{build}".encode(), json.dumps(line).encode())
        job = await client.jetstream().get_last_msg("JOBS", "ws.job.other.>")
        assert job.data
        report = ids | {"job_id": json.loads(job.data)["job_id"], "error": NASTY, "error_code": NASTY}
        await client.publish(f"{event}failed", json.dumps(report).encode())
        await client.close()

    asyncio.run(say())


def test_texts_of_others_do_nothing_to_a_terminal(cli: CommandLine, folder: Path, tmp_path: Path) -> None:
    """Whatever a provisioner reports, or anybody had put aside: lines are as many as they should be, and printable."""
    (tmp_path / "template.json").write_text(
        json.dumps({"name": "nasty", "provisioner": "other", "description": NASTY, "readme": NASTY})
    )
    template = cli.json("templates", "put", tmp_path)["template"]
    chat = cli.json("create", "--template", template["id"], "--no-wait")["snapshot"]
    say_nasty(folder, chat)
    cli.run("watch", chat["chat_id"], "--until", "failed")
    letters = [str(each["seq"]) for each in cli.json("dead", "list")["messages"]]

    for arguments in (
        ("ps",),
        ("ps", "--workspaces"),
        ("show", chat["chat_id"]),
        ("history", chat["chat_id"]),
        ("logs", chat["chat_id"]),
        ("templates", "list"),
        ("templates", "get", template["id"]),
        ("create", "--template", "no-such-template"),
        ("dead", "list"),
        *(("dead", "show", letter) for letter in letters),
        ("history", chat["chat_id"], "--json"),
        ("dead", "list", "--json"),
    ):
        done = cli.run(*arguments)
        lines = (done.stdout + done.stderr).split("\n")
        assert [line for line in lines if not line.isprintable()] == [], arguments
        # The body of a dead letter is shown whole, as the last thing; everything else is a line of ours.
        forged = [line for line in lines if line.startswith("ready:") and arguments[:2] != ("dead", "show")]
        assert forged == [], arguments
    assert cli.run("dead", "drop", "--yes", *letters).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("show", "00000000-0000-4000-8000-000000000000"), 4, "chat_not_found"),
        (("show", "no-such-chat"), 4, "chat_not_found"),
        (("stop", "00000000-0000-4000-8000-000000000000"), 5, "no_workspace"),
        (("create", "--template", "no-such-template"), 4, "template_not_found"),
        (("create", "--template", "shell", "-p", "colour=red"), 3, "invalid_parameters"),
        (("create", "--template", "shell", "--chat", "mine"), 3, "bad_request"),
        (("create", "-p", "colour"), 2, "usage"),
        (("templates", "put", "/nowhere.json"), 3, "invalid_template"),
        (("provisioner",), 5, "in_use"),
        (("nonsense",), 2, "usage"),
    ],
)
def test_errors_are_one_line(cli: CommandLine, arguments: tuple[str, ...], exit_code: int, said: str) -> None:
    """The exit code tells the kind, the line the reason and its word; nothing on stdout."""
    done = cli.run(*arguments)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(f"({said})\n")
    assert done.stderr.count("\n") == 1
