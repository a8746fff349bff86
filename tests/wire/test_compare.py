"""The check of an older contract: every breaking change is found, every harmless one is let through."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workspaced.app.commands.schema import schema
from workspaced.app.contract.asyncapi import document
from workspaced.app.contract.compare import breaks

RELEASED = Path(__file__).parents[2] / "docs" / "contract" / "released"
Part = dict[str, Any]
Change = Callable[[Part], object]


def fields(contract: Part, struct: str) -> Part:
    """The properties of a struct."""
    found: Part = contract["components"]["schemas"][struct]["properties"]
    return found


def required(contract: Part, struct: str) -> list[str]:
    """The fields a struct must have."""
    found: list[str] = contract["components"]["schemas"][struct]["required"]
    return found


def add(contract: Part, struct: str, **added: Part) -> None:
    """Give a struct fields that it must have."""
    fields(contract, struct).update(added)
    required(contract, struct).extend(added)


BREAKING: dict[str, tuple[Change, str]] = {
    "subject removed": (lambda c: c["channels"].pop("api-touch"), "ws.api.touch: there is no such subject any more"),
    "subject moved": (
        lambda c: c["channels"]["log"].update(address="ws.logs.{workspace_id}.{build_id}"),
        "ws.log.{workspace_id}.{build_id}: there is no such subject any more",
    ),
    "right taken": (
        lambda c: c["channels"]["api-get"]["x-senders"].remove("inspector"),
        "ws.api.get: inspector may not send here any more",
    ),
    "not told any more": (
        lambda c: c["channels"]["chat"]["x-receivers"].remove("chatd"),
        "ws.chat.{chat_id}.{state}: chatd does not get it any more",
    ),
    "not kept any more": (
        lambda c: c["channels"]["chat"].update({"x-stream": None}),
        "ws.chat.{chat_id}.{state}: it is not kept in a stream any more",
    ),
    "not answered any more": (
        lambda c: c["channels"].pop("api-get-reply"),
        "ws.api.get: it is not answered any more",
    ),
    "message removed": (lambda c: c["components"]["messages"].pop("chat"), "chat: there is no such message any more"),
    "input: field removed": (lambda c: fields(c, "Create").pop("name"), "Create.name: the field is gone"),
    "input: new required field": (
        lambda c: add(c, "Create", tenant={"type": "string"}),
        "Create.tenant: older programs do not send it, and it is required now",
    ),
    "input: field made required": (
        lambda c: required(c, "JobReport").append("worker"),
        "JobReport.worker: older programs do not send it, and it is required now",
    ),
    "input: type narrowed": (
        lambda c: fields(c, "Create").update(name={"type": "string"}),
        "Create.name: null is not taken any more",
    ),
    "input: type changed": (
        lambda c: fields(c, "LogEnd").update(seq={"type": "string"}),
        "LogEnd.seq: is string now and was integer",
    ),
    "input: word removed": (
        lambda c: fields(c, "LifecycleChanged")["state"]["enum"].remove("off"),
        "LifecycleChanged.state: no longer takes `off`",
    ),
    "input: words instead of any text": (
        lambda c: fields(c, "LogLine").update(output={"enum": ["a"]}),
        "LogLine.output: takes only some words now",
    ),
    "input: shorter": (
        lambda c: fields(c, "Create")["request_id"].update(maxLength=64),
        "Create.request_id: maxLength is 64 now, which refuses what was taken",
    ),
    "input: larger at least": (
        lambda c: fields(c, "LogsRequest")["after"].update(minimum=1),
        "LogsRequest.after: minimum is 1 now, which refuses what was taken",
    ),
    "input: pattern": (
        lambda c: fields(c, "Create")["request_id"].update(pattern="^[a-z]+$"),
        "Create.request_id: pattern is another one now",
    ),
    "input: default": (
        lambda c: fields(c, "HistoryRequest")["limit"].update(default=10),
        "HistoryRequest.limit: left out it means 10 now",
    ),
    "input: unknown fields refused": (
        lambda c: c["components"]["schemas"]["Stop"].update(additionalProperties=False),
        "Stop: unknown fields are refused now",
    ),
    "output: field removed": (lambda c: fields(c, "Snapshot").pop("typical"), "Snapshot.typical: the field is gone"),
    "output: field may be missing": (
        lambda c: required(c, "Snapshot").remove("version"),
        "Snapshot.version: was always there and may be missing now",
    ),
    "output: may be null": (
        lambda c: fields(c, "Snapshot").update(version={"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        "Snapshot.version: may be null now",
    ),
    "output: type changed": (
        lambda c: fields(c, "Push").update(version={"type": "string"}),
        "Push.version: is string now and was integer",
    ),
    "output: new word": (
        lambda c: c["components"]["schemas"]["State"]["enum"].append("paused"),
        "State: may be `paused` now",
    ),
    "output: any text": (
        lambda c: fields(c, "Reply").update(outcome={"type": "string"}),
        "Reply.outcome: may be any text now",
    ),
    "output: nested": (
        lambda c: fields(c, "WorkspaceView").pop("name"),
        "WorkspaceView.name: the field is gone",
    ),
    "output: items": (
        lambda c: fields(c, "Logs")["lines"].update(items={"type": "string"}),
        "LogEntry: is string now and was object",
    ),
    "output: header": (
        lambda c: c["components"]["messages"]["chat"]["headers"]["required"].remove("ce-id"),
        "chat (headers).ce-id: was always there and may be missing now",
    ),
    "others: field required": (
        lambda c: required(c, "LogLine").append("worker"),
        "LogLine.worker: older programs do not send it, and it is required now",
    ),
    "next engine: word removed": (
        lambda c: fields(c, "JobLimit")["status"]["enum"].remove("pending"),
        "JobLimit.status: no longer takes `pending`",
    ),
}

HARMLESS: dict[str, Change] = {
    "nothing": lambda _: None,
    "subject added": lambda c: c["channels"].update(new=c["channels"]["resync"] | {"address": "ws.new"}),
    "right given": lambda c: c["channels"]["api-dead"]["x-senders"].append("chatd"),
    "input: optional field": lambda c: fields(c, "Create").update(color={"type": "string", "default": ""}),
    "input: not required any more": lambda c: required(c, "LifecycleChanged").remove("client_id"),
    "input: new word": lambda c: (
        fields(c, "LifecycleChanged")["state"]["enum"].remove("off")
        or fields(c, "LifecycleChanged")["state"]["enum"].extend(["off", "napping"])
    ),
    "input: longer": lambda c: fields(c, "Create")["request_id"].update(maxLength=256),
    "input: may be null": lambda c: fields(c, "LogsRequest").update(
        after={"anyOf": [fields(c, "LogsRequest")["after"], {"type": "null"}], "default": 0}
    ),
    "output: field added": lambda c: add(c, "Snapshot", mood={"type": "integer"}),
    "output: always there now": lambda c: required(c, "Snapshot").append("typical"),
    "output: never null any more": lambda c: fields(c, "Reply").update(build_id={"type": "string", "default": None}),
    "output: open word": lambda c: fields(c, "Failure")["code"]["enum"].append("no_disk"),
    "texts": lambda c: fields(c, "Create")["name"].update(description="another text"),
}


@pytest.mark.parametrize("change", BREAKING)
def test_breaking_change_is_found(change: str) -> None:
    """It is named, and nothing else is."""
    old, new = document(), copy.deepcopy(document())
    alter, told = BREAKING[change]
    alter(new)

    assert told in [f"{each.where}: {each.what}" for each in breaks(old, new)]


@pytest.mark.parametrize("change", HARMLESS)
def test_harmless_change_is_let_through(change: str) -> None:
    """Contracts may grow."""
    old, new = document(), copy.deepcopy(document())
    HARMLESS[change](new)

    assert breaks(old, new) == []


@pytest.mark.parametrize("version", sorted(path.parent.name for path in RELEASED.glob("*/asyncapi.json")))
def test_nothing_breaks_what_was_released(version: str) -> None:
    """Programs made for any released version work with this one."""
    assert breaks(json.loads((RELEASED / version / "asyncapi.json").read_bytes()), document()) == []


def test_command_tells_breaks(tmp_path: Path) -> None:
    """One line each, and an exit code for scripts."""
    old = copy.deepcopy(document())
    fields(old, "Create")["color"] = {"type": "string"}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))

    done = CliRunner().invoke(schema, ["--check", str(path)], standalone_mode=False)

    assert (done.output, done.return_value) == ("Create.color: the field is gone\n", 1)


def test_command_is_content(tmp_path: Path) -> None:
    """What did not change breaks nobody."""
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document()))

    done = CliRunner().invoke(schema, ["--check", str(path)], standalone_mode=False)

    assert (done.output, done.return_value) == (f"nothing breaks programs made for {path}\n", 0)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"components": 1}', "\xff"])
def test_command_refuses_other_files(tmp_path: Path, text: str) -> None:
    """A file that is no contract is said to be none."""
    path = tmp_path / "old.json"
    path.write_bytes(text.encode("latin-1"))

    done = CliRunner().invoke(schema, ["--check", str(path)], standalone_mode=False)

    assert f"{path} is no AsyncAPI document of workspaced" in str(done.exception)


def test_command_prints_one_schema() -> None:
    """With everything it refers to, for a validator that takes one file."""
    done = CliRunner().invoke(schema, ["--message", "event-job"], standalone_mode=False)

    assert json.loads(done.output)["$ref"] == "#/$defs/JobReport"


def test_command_names_the_messages() -> None:
    """Whoever asks for an unknown one learns which there are."""
    done = CliRunner().invoke(schema, ["--message", "nothing"], standalone_mode=False)

    assert "no message is called 'nothing'; they are: agent-ping" in str(done.exception)
