"""The exported contract: complete, checked in as generated, valid."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.npm import LIMIT, installed, needs_node
from workspaced.app.contract import files, words
from workspaced.app.contract.asyncapi import FIELD, PARTIES, document
from workspaced.app.contract.channels import CHANNELS, Channel
from workspaced.bus import streams
from workspaced.bus.subject_parser import JobEventSubject, parse
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.events import JobReport

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs" / "contract"
WORDS = {"status": "running", "state": "ready", "kind": "chat", "provisioner": "local", "advisory": "connect"}
SOME_ID = "0b7f2a34-5c1d-4e8f-9a60-1d2c3b4a5e6f"


def subject_of(channel: Channel) -> str:
    """A subject of the channel."""
    return FIELD.sub(lambda found: WORDS.get(found[1], SOME_ID), channel.address)


def test_checked_in_is_generated() -> None:
    """`make docs` writes what stands in docs/contract."""
    there = {
        str(path.relative_to(CONTRACT)): path.read_text()
        for path in CONTRACT.rglob("*.json")
        if "released" not in path.parts
    }

    assert there == {path: files.text(content) for path, content in files.documents().items()}


def test_both_forms_of_a_report_have_a_channel() -> None:
    """With the provisioner's tag behind the status, and without."""
    reports = [parse(subject_of(channel)) for channel in CHANNELS if channel.body is JobReport]

    assert reports == [
        JobEventSubject(SOME_ID, "running"),
        JobEventSubject(SOME_ID, "running", "local"),
    ]


def test_every_stream_has_a_channel() -> None:
    """Nothing is kept that the contract does not tell."""
    assert {channel.stream for channel in CHANNELS} - {None} == set(streams.SUBJECTS)


def test_no_subject_without_words() -> None:
    """A word that is none of the contract's is none of the engine's."""
    with pytest.raises(UndecodableMessage):
        parse(f"ws.event.{SOME_ID}.job.paused")


@pytest.mark.parametrize("party", PARTIES)
def test_every_field_has_a_meaning(party: Any) -> None:  # noqa: ANN401  # one of the literals
    """Whoever reads the contract learns what each field is for."""
    schemas = document(party)["components"]["schemas"]

    assert [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, part in schema.get("properties", {}).items()
        if not part.get("description")
    ] == []


def test_no_word_is_left_over() -> None:
    """The table of words has none for a field that is gone."""
    schemas = document()["components"]["schemas"]
    fields = {field for schema in schemas.values() for field in schema.get("properties", {})} | {
        "from_state",
        "to_state",
    }

    gone = {name for name in words.FIELDS if "." in name and name.split(".")[0] not in schemas}
    assert gone == set()
    assert {name.rpartition(".")[2] for name in words.FIELDS} - fields == set()


def test_every_error_word_is_told() -> None:
    """Words that the engine answers with, as they stand in the code."""
    pattern = re.compile(r'\bcode="([a-z_]+)"')
    local = {"in_use", "dead_not_found", "not_installed", "conflict", "forbidden"}  # of programs and the store
    failures = set(_words(document()["components"]["schemas"]["Failure"]["properties"]["code"]))
    used = {
        word
        for folder in ("fsm", "bus", "app", "store")
        for path in (ROOT / folder).rglob("*.py")
        if "commands" not in path.parts
        for word in pattern.findall(path.read_text())
    }

    assert used - failures - local - {word for _, told in words.ERRORS.values() for word in told} == set()


@pytest.mark.parametrize("name", sorted(files.schemas()))
def test_schemas_are_valid(name: str) -> None:
    """Each one by JSON Schema's own schema."""
    jsonschema.Draft202012Validator.check_schema(files.schemas()[name])


@needs_node
def test_official_parser(tmp_path: Path) -> None:
    """AsyncAPI's own parser takes every document without an error or a warning, its examples too."""
    folder = installed(Path(__file__).parent / "parser", tmp_path / "parser")
    documents = sorted(CONTRACT.glob("*asyncapi.json"))

    done = subprocess.run(
        ["node", "parse.js", *documents],  # noqa: S607  # wherever it is installed
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert len(documents) == len(PARTIES)


def _words(schema: dict[str, Any]) -> list[str]:
    found: list[str] = schema["enum"]
    return found
