"""Who makes an MCP call, and in which chat: said when the server was started, or by each call in its `_meta`.

What the server was started with binds it: a call that says otherwise is refused, so a server of one chat is never led
to another one.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args
from uuid import uuid4

import msgspec
from msgspec import Struct

from workspaced.fsm.commands import Owner, OwnerName
from workspaced.fsm.errors import BadRequest
from workspaced.fsm.values import Id

Name = Literal["chat_id", "owner_id", "owner_name", "organization_id"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)
PREFIX: Final = "workspaced/"
REQUEST_ID: Final = f"{PREFIX}request_id"
"""In `_meta`: the model's tool call id. A call repeated under the same one is answered alike and does nothing twice."""
CHILD: Final = f"{PREFIX}child"
"""In `_meta`: true for a sub-agent's chat, which shares its parent's workspace and is offered no tools."""


class Identity(Struct, frozen=True):
    """All that a tool needs to know about its caller."""

    chat_id: str
    owner: Owner
    organization_id: str
    child: bool = False


class Binding(Struct, frozen=True):
    """What a server was started with: `given` binds every call, `fallback` is for calls that do not say."""

    given: Mapping[Name, str] = {}
    fallback: Mapping[Name, str] = {}
    child: bool = False


def identity(binding: Binding, meta: Mapping[str, Any]) -> Identity:
    """The caller of one call. Raises BadRequest with the field that is missing, not usable, or against the binding."""
    told = {name: _told(binding, meta, name) for name in NAMES}
    owner = Owner(told["owner_id"], told["owner_name"])
    return Identity(told["chat_id"], owner, told["organization_id"], is_child(binding, meta))


def check(given: Mapping[Name, str]) -> None:
    """Raises BadRequest for what no call could be bound to."""
    for name, text in given.items():
        _checked(name, text)


def is_child(binding: Binding, meta: Mapping[str, Any]) -> bool:
    """Whether the chat is a sub-agent's."""
    return binding.child or meta.get(CHILD) is True


def request_id(meta: Mapping[str, Any]) -> str:
    """The call's own, else a fresh one: JSON-RPC ids start anew in each session. Raises BadRequest."""
    told = meta.get(REQUEST_ID)
    if told is None:
        return str(uuid4())
    if not isinstance(told, str) or not told:
        raise BadRequest(f"_meta {REQUEST_ID} must be a text", field=REQUEST_ID)
    return told


def _told(binding: Binding, meta: Mapping[str, Any], name: Name) -> str:
    given, said = binding.given.get(name), meta.get(PREFIX + name)
    if said is not None and not isinstance(said, str):
        raise BadRequest(f"_meta {PREFIX}{name} must be a text", field=name)
    if given is not None and said is not None and said.lower() != given.lower():
        raise BadRequest(f"this server was started for another {name} than _meta {PREFIX}{name} says", field=name)
    found = given or said or binding.fallback.get(name)
    if not found:
        raise BadRequest(
            f"{name} is not known: say it in _meta as {PREFIX}{name}, or start the server with it", field=name
        )
    return _checked(name, found)


def _checked(name: Name, text: str) -> str:
    if name != "owner_name":
        text = text.lower()
    try:
        msgspec.convert(text, OwnerName if name == "owner_name" else Id)
    except msgspec.ValidationError:
        wanted = "up to 32 letters, digits and single hyphens" if name == "owner_name" else "a UUID"
        raise BadRequest(f"{name} must be {wanted}, not {text[:100]!r}", field=name) from None
    return text
