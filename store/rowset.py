"""Rows as JSON, both ways: Postgres makes and reads it, msgspec does the same on this side."""

from collections.abc import Sequence

import asyncpg
import msgspec

from workspaced.fsm.rows import Changes, Loaded

_FIELDS = {
    field.name: msgspec.json.Decoder(field.type).decode  # one decoder for each kind of rows, made once
    for field in msgspec.structs.fields(Loaded)
}
_encode = msgspec.json.Encoder().encode


def loaded_from(row: asyncpg.Record) -> Loaded:
    """The `Loaded` of `load`'s one row, whose columns are its fields as JSON texts."""
    return Loaded(**{name: decode(row[name]) for name, decode in _FIELDS.items()})


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
        rows_json(changes.transitions),
        rows_json(changes.inputs),
        rows_json(changes.stale),
        rows_json(changes.departures),
    )
