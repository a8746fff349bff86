"""Who may connect to the embedded NATS server: the roles of nats.conf and their passwords, and the keys of a stack."""

import base64
import secrets
from pathlib import Path
from typing import Final

import msgspec

from workspaced.app.private_file import read_private, write_private

ROLES: Final = ("admin", "engine", "chatd", "provisioner", "inspector")
"""The standing users of nats.conf but two. Agents are none of them: the auth callout lets them in."""
CALLOUT: Final = "callout"
"""The user of account AUTH."""
SYSTEM: Final = "sys"
"""The user of the system account; nothing of ours connects as it."""
SEED: Final = "callout_seed"
AGENT_KEY: Final = "agent_key"


class Role(msgspec.Struct, frozen=True):
    """What a client needs to connect as one role; the inbox prefix belongs to the permissions."""

    user: str
    password: str
    inbox_prefix: str


class Credentials(msgspec.Struct, frozen=True):
    """All secrets of one stack."""

    passwords: dict[str, str]
    """By user."""
    callout_seed: str
    """The account nkey that signs what the callout answers."""
    agent_key: str
    """What the secrets of builds' agents are made with."""

    def roles(self) -> dict[str, Role]:
        """The roles a client may take, by name."""
        return {name: self.role(name) for name in self.passwords if name not in {SYSTEM, CALLOUT}}

    def role(self, name: str) -> Role:
        """One of them, or the callout."""
        return Role(name, self.passwords[name], f"_INBOX_{name}")


def load_credentials(folder: Path, more: tuple[str, ...] = ()) -> Credentials:
    """Those in `folder`/secrets.json, what is missing made and kept first; `more` are users besides those of nats.conf.

    They stay the same over restarts, so that agents which outlive a server get in again. Only the owner may read them.
    """
    from workspaced.bus.auth_jwt import make_account_seed

    path = folder / "secrets.json"
    known = read_private(path, dict[str, str]) if path.exists() else {}
    users = (SYSTEM, CALLOUT, *ROLES, *more)
    wanted = {user: known.get(user) or _password() for user in users}
    wanted[SEED] = known.get(SEED) or make_account_seed(secrets.token_bytes(32))
    wanted[AGENT_KEY] = known.get(AGENT_KEY) or _password()
    if wanted != known:
        write_private(path, msgspec.json.format(msgspec.json.encode(wanted)))
    return Credentials({user: wanted[user] for user in users}, wanted[SEED], wanted[AGENT_KEY])


def _password() -> str:
    # nats-server parses environment values as configuration: a first digit or a sign would make it a number.
    return "s" + base64.b32encode(secrets.token_bytes(20)).decode().lower()
