"""Who the person at this machine is to workspaced: made once per folder, so that their chats belong together."""

import getpass
import re
from pathlib import Path
from typing import Final

import msgspec

from workspaced.app.clock import RandomIds
from workspaced.app.private_file import read_private, write_private
from workspaced.fsm.commands import Owner
from workspaced.fsm.names import LONGEST

NAME: Final = "identity.json"


class Identity(msgspec.Struct, frozen=True):
    """The owner and the organization of chats made from the command line."""

    owner: Owner
    organization_id: str


def load_identity(folder: Path) -> Identity:
    """The identity kept in `folder`, made and kept first when there is none."""
    path = folder / NAME
    if not path.exists():
        ids = RandomIds()
        made = Identity(Owner(ids.uuid(), _own_name()), ids.uuid())
        write_private(path, msgspec.json.format(msgspec.json.encode(made)))
    return read_private(path, Identity)


def _own_name() -> str:
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        login = ""
    return re.sub(r"[^A-Za-z0-9]+", "-", login).strip("-")[:LONGEST].strip("-") or "me"
