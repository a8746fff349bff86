"""Who may connect to the embedded NATS server: the roles of nats.conf and their passwords."""

import base64
import secrets
from pathlib import Path

import msgspec

from workspaced.app.private_file import write_private

ROLES = ("admin", "engine", "chatd", "provisioner", "agent", "inspector")
"""The users of account WS in nats.conf."""

SYSTEM = "sys"
"""The user of the system account; nothing of ours connects as it."""


class Role(msgspec.Struct, frozen=True):
    """What a client needs to connect as one role; the inbox prefix belongs to the permissions."""

    user: str
    password: str
    inbox_prefix: str


def load_passwords(folder: Path) -> dict[str, str]:
    """Passwords by user from `folder`/secrets.json, those that are missing made and kept first.

    They stay the same over restarts, so that agents which outlive a server get in again.
    """
    path = folder / "secrets.json"
    known = msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}
    wanted = {user: known.get(user) or _password() for user in (SYSTEM, *ROLES)}
    if wanted != known:
        write_private(path, msgspec.json.format(msgspec.json.encode(wanted)))
    return wanted


def roles_of(passwords: dict[str, str]) -> dict[str, Role]:
    """The roles a client may take, by name."""
    return {name: Role(name, passwords[name], f"_INBOX_{name}") for name in ROLES}


def _password() -> str:
    # nats-server parses environment values as configuration: a first digit or a sign would make it a number.
    return "s" + base64.b32encode(secrets.token_bytes(20)).decode().lower()
