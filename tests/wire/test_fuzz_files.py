"""Files and options that somebody else wrote: a value, or the error that is told for it."""

import contextlib
import random
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.mangled import mangled
from tests.wire.test_fuzz import TRIES, seeds, texts, tried
from workspaced.app.commands.conformance import _json
from workspaced.app.connection import read_connection
from workspaced.app.contract.examples import examples
from workspaced.app.credentials import load_credentials
from workspaced.app.identity import load_identity
from workspaced.app.template_files import read_template
from workspaced.fsm.errors import BadRequest, Unavailable
from workspaced.fsm.parameters import fault
from workspaced.fsm.template import Parameter
from workspaced.provisioners.agent.config import read_config
from workspaced.provisioners.local.folder import Folder

ID = "0b7f2a34-5c1d-4e8f-9a60-1d2c3b4a5e6f"
LOGIN = {"url": "nats://localhost", "user": ID, "password": "x", "inbox_prefix": "_INBOX"}
CONFIG = {"workspace_id": ID, "build_id": ID, "agent_id": ID, "agent_name": "main", "nats": LOGIN, "folder": "/"}
RECORD = {
    "workspace_id": ID,
    "build_id": ID,
    "job_id": ID,
    "agents": [{"id": ID, "name": "main", "created_at": "2026-01-01T00:00:00Z", "pid": 1, "started": "x:1"}],
}
STACK = {"nats_url": "", "database_url": "", "http_url": "", "pid": 1, "roles": {"admin": LOGIN}}
TOML = (
    b'name = "a"\n[source]\nstartup_script = """\ntrue"""\n',
    b"a = " + b"[" * 5000,
    b"a = " + b"{b=" * 5000,
    b"a = " + b"9" * 5000,
    b"a = 1\na = 2",
    b"\xff",
)

seldom = settings(max_examples=max(TRIES // 5, 20))
"""Where each try writes several files."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose files are written over and over."""
    return tmp_path_factory.mktemp("files")


def broken(golden: Any, seed: int) -> bytes:  # noqa: ANN401  # any JSON
    """A file's content."""
    return mangled(golden, random.Random(seed))  # noqa: S311  # dice, no secret


@tried
@given(seeds)
def test_what_a_workspace_holds(folder: Path, seed: int) -> None:
    """Scripts may write there."""
    own = Folder(folder, ID)
    own.make()
    (own.path / "agent.json").write_bytes(broken(RECORD, seed))
    record = own.record()
    assert record is None or record.workspace_id == ID

    path = own.agent_file(ID, "config.json")
    path.write_bytes(broken(CONFIG, seed))
    with contextlib.suppress(ValueError):
        read_config(path)


@seldom
@given(seeds, st.one_of(st.binary(max_size=100), st.sampled_from(TOML)))
def test_template_folders(folder: Path, seed: int, toml: bytes) -> None:
    """Of anybody who offers a template."""
    place = folder / "template"
    place.mkdir(exist_ok=True)
    for name, content in (
        ("template.toml", toml),
        ("template.json", broken(examples()["api-templates-put"]["body"]["template"], seed)),
    ):
        (place / name).write_bytes(content)
        (place / "startup.sh").write_bytes(toml)
        with contextlib.suppress(BadRequest):
            read_template(place)
        with contextlib.suppress(BadRequest):
            read_template(place / name)
        (place / name).unlink()


@seldom
@given(seeds)
def test_files_of_a_stack(folder: Path, seed: int) -> None:
    """What a person edited."""
    (folder / "connection.json").write_bytes(broken(STACK, seed))
    (folder / "identity.json").write_bytes(broken({"owner": {"id": ID, "name": "a"}, "organization_id": ID}, seed))
    (folder / "secrets.json").write_bytes(broken({"admin": "x", "agent_key": "y"}, seed))
    for read in (read_connection, load_identity, load_credentials):
        with contextlib.suppress(Unavailable):
            read(folder)


@tried
@given(texts, seeds)
def test_options_of_conformance(text: str, seed: int) -> None:
    """JSON on a command line."""
    for given_text in (text, broken(RECORD, seed).decode("utf-8", "surrogateescape")):
        with contextlib.suppress(click.UsageError):
            _json("source", given_text)


@tried
@given(st.one_of(texts, st.just("[" * 20_000), st.just('["a", "b"]')))
def test_parameters(text: str) -> None:
    """Values of a list, as callers give them."""
    assert (fault(Parameter(name="a", type="list(string)"), text) is None) == (
        text == '["a", "b"]' or text.strip() == "[]"
    )
