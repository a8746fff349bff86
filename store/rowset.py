"""Rows as JSON, both ways: Postgres makes and reads it, msgspec does the same on this side."""

from collections.abc import Hashable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, cast

import asyncpg
import msgspec

from workspaced.fsm.rows import Changes, Loaded, TransitionRow

T = TypeVar("T")
_LOADED = {field.name: field.type for field in msgspec.structs.fields(Loaded)}
_encode = msgspec.json.Encoder().encode
_AROUND = [name for name in TransitionRow.__struct_fields__ if name != "snapshot"]
_AroundSnapshot = msgspec.defstruct("_AroundSnapshot", _AROUND)
_around = attrgetter(*_AROUND)


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def rows_from(text: str, kind: type[T]) -> T:
    """The JSON `text` as a `kind`, say `list[Chat]`."""
    rows: T = _decoder(cast("Hashable", kind)).decode(text)
    return rows


def loaded_from(row: asyncpg.Record) -> Loaded:
    """The `Loaded` of one row, of whose columns those named as its fields are JSON texts."""
    return Loaded(**{name: _decoder(_LOADED[name]).decode(text) for name, text in row.items() if name in _LOADED})


def rows_json(rows: Sequence[msgspec.Struct]) -> str:
    """One table's rows as the JSON array that `write` reads."""
    return _encode(rows).decode() if rows else "[]"


def changes_arguments(changes: Changes, machine_version: int) -> tuple[object, ...]:
    """The arguments of `write`, in its order."""
    return (
        rows_json(changes.workspaces),
        rows_json(changes.builds),
        rows_json(changes.agents),
        rows_json([write.chat for write in changes.chats]),
        [write.expected_version for write in changes.chats],
        machine_version,
        rows_json([_AroundSnapshot(*_around(row)) for row in changes.transitions]),
        rows_json(changes.inputs),
        rows_json(changes.stale),
        rows_json(changes.departures),
        [bytes(row.snapshot).decode() for row in changes.transitions],
    )
