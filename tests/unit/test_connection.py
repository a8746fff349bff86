"""`connection.json`, as wire.md section 7 has it."""

import json
import stat
from pathlib import Path

import pytest

from workspaced.app.connection import Connection, read_connection, remove_connection, write_connection
from workspaced.app.credentials import Role
from workspaced.fsm.errors import Unavailable


def a_connection() -> Connection:
    """A stack with one role."""
    role = Role("admin", "secret", "_INBOX_admin")
    return Connection("nats://127.0.0.1:1", "postgresql://postgres@/postgres", "http://127.0.0.1:2", 3, {"admin": role})


def test_it_is_read_as_written(tmp_path: Path) -> None:
    """What `up` writes the other commands read."""
    write_connection(tmp_path, a_connection())

    assert read_connection(tmp_path) == a_connection()


def test_a_foreign_program_finds_the_fields(tmp_path: Path) -> None:
    """The names are part of the contract."""
    write_connection(tmp_path, a_connection())
    fields = json.loads((tmp_path / "connection.json").read_bytes())

    assert list(fields) == ["nats_url", "database_url", "http_url", "pid", "roles"]
    assert fields["roles"] == {"admin": {"user": "admin", "password": "secret", "inbox_prefix": "_INBOX_admin"}}


def test_it_is_for_the_owner_alone(tmp_path: Path) -> None:
    """Passwords stand in it; and no draft stays behind."""
    write_connection(tmp_path, a_connection())
    write_connection(tmp_path, a_connection())

    assert [(file.name, stat.S_IMODE(file.stat().st_mode)) for file in tmp_path.iterdir()] == [
        ("connection.json", 0o600)
    ]


def test_no_stack_is_said_in_one_line(tmp_path: Path) -> None:
    """Without a stack the error names the command that starts one; removing twice is fine."""
    write_connection(tmp_path, a_connection())
    remove_connection(tmp_path)
    remove_connection(tmp_path)

    with pytest.raises(Unavailable, match="workspaced up --dir"):
        read_connection(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A file that somebody edited is not a traceback."""
    (tmp_path / "connection.json").write_text("{")

    with pytest.raises(Unavailable, match=r"connection\.json cannot be read"):
        read_connection(tmp_path)
