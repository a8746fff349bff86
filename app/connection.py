"""`D/connection.json`: how a running stack is found, by our commands and by foreign programs (wire.md section 7)."""

from pathlib import Path

import msgspec

from workspaced.app.credentials import Role
from workspaced.app.private_file import read_private, write_private
from workspaced.fsm.errors import Unavailable

NAME = "connection.json"
TAG = "local"
"""Of the provisioner that runs in a stack."""


class Connection(msgspec.Struct, frozen=True):
    """Where a running stack answers, and how each role gets in."""

    nats_url: str
    database_url: str
    http_url: str
    pid: int
    roles: dict[str, Role]


def write_connection(folder: Path, connection: Connection) -> None:
    """Tell where the stack of `folder` is; call it once everything answers."""
    write_private(folder / NAME, msgspec.json.format(msgspec.json.encode(connection)))


def read_connection(folder: Path) -> Connection:
    """The stack of `folder`; raises `Unavailable` when there is none. It may have died since it wrote the file."""
    path = folder / NAME
    try:
        return read_private(path, Connection)
    except FileNotFoundError:
        raise Unavailable(f"no stack runs in {folder}: start one with `workspaced up --dir {folder}`") from None


def remove_connection(folder: Path) -> None:
    """Take the file away at a clean end; nothing happens when it is gone."""
    (folder / NAME).unlink(missing_ok=True)
