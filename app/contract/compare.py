"""What a newer contract takes away from programs made for an older one.

Who sends a message decides which change breaks: what the engine reads may only grow laxer, for old programs go on
sending what they sent; what it writes may only grow stricter and richer, for old programs go on reading it. Between two
other programs, and from an engine to the next one, both hold. `docs/protocol.md` has the rules in words.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

Part = dict[str, Any]

OPEN_WORDS: Final = frozenset({"Failure.code"})
"""Fields whose readers are told to expect words they do not know."""
_LOWER: Final = {"minLength": 0, "minItems": 0, "minimum": None, "exclusiveMinimum": None}
_UPPER: Final = ("maxLength", "maxItems", "maximum", "exclusiveMaximum")


class Break(Struct, frozen=True):
    """One thing that an older program relies on and would not find any more."""

    where: str
    what: str


class Ways(Struct, frozen=True):
    """Which way a message goes: `read` by the engine, `written` by it; both for what others exchange."""

    read: bool
    written: bool

    @property
    def back(self) -> "Ways":
        """The way of its answer."""
        return Ways(read=self.written, written=self.read)


def breaks(old: Part, new: Part) -> list[Break]:
    """Everything in which `new` breaks a program made for `old`; both are the engine's AsyncAPI documents."""
    return list(dict.fromkeys(_documents(old, new)))  # what is both sent and kept is met twice


def _documents(old: Part, new: Part) -> Iterator[Break]:
    seen: set[tuple[str, str, bool, bool]] = set()
    compare = _Schemas(old["components"]["schemas"], new["components"]["schemas"], seen)
    for name, channel in old["channels"].items():
        if channel["address"] is None:
            continue
        now = new["channels"].get(name)
        if now is None or now["address"] != channel["address"]:
            yield Break(channel["address"], "there is no such subject any more")
            continue
        yield from _parties(channel, now)
        ways = _ways(channel)
        for message in channel["messages"]:
            yield from _message(message, old, new, ways, compare)
        reply = f"{name}-reply"
        if reply not in old["channels"]:
            continue
        if reply not in new["channels"]:
            yield Break(channel["address"], "it is not answered any more")
            continue
        for message in old["channels"][reply]["messages"]:
            yield from _message(message, old, new, ways.back, compare)


def _parties(old: Part, new: Part) -> Iterator[Break]:
    for side, text in (("x-senders", "may not send here any more"), ("x-receivers", "does not get it any more")):
        for party in old[side]:
            if party not in new[side]:
                yield Break(old["address"], f"{party} {text}")
    if old["x-stream"] and not new["x-stream"]:
        yield Break(old["address"], "it is not kept in a stream any more")


def _ways(channel: Part) -> Ways:
    if channel["x-kind"] == "internal":
        return Ways(read=True, written=True)
    sent, got = "engine" in channel["x-senders"], "engine" in channel["x-receivers"]
    return Ways(read=got or not sent, written=sent or not got)


def _message(name: str, old: Part, new: Part, ways: Ways, compare: "_Schemas") -> Iterator[Break]:
    before, now = old["components"]["messages"][name], new["components"]["messages"].get(name)
    if now is None:
        yield Break(name, "there is no such message any more")
        return
    yield from compare.schemas(name, before["payload"], now["payload"], ways)
    yield from compare.schemas(f"{name} (headers)", before.get("headers", {}), now.get("headers", {}), ways)


class _Schemas:
    """Compares two schemas, references resolved in their own documents; each pair of structs once for each way."""

    def __init__(self, old: Part, new: Part, seen: set[tuple[str, str, bool, bool]]) -> None:
        self._old, self._new, self._seen = old, new, seen

    def schemas(self, where: str, old: Part, new: Part, ways: Ways) -> Iterator[Break]:
        """What `new` takes away at this place."""
        old, old_name = self._resolved(old, self._old)
        new, new_name = self._resolved(new, self._new)
        if old_name:
            visit = (old_name, new_name, ways.read, ways.written)
            if visit in self._seen:
                return
            self._seen.add(visit)
            where = old_name
        if "anyOf" in old or "anyOf" in new:
            yield from self._unions(where, old, new, ways)
            return
        yield from _types(where, old, new, ways)
        yield from _words(where, old, new, ways)
        if ways.read:
            yield from _bounds(where, old, new)
        yield from self._fields(where, old, new, ways)
        if "items" in old and "items" in new:
            yield from self.schemas(f"{where}[]", old["items"], new["items"], ways)
        if isinstance(old.get("additionalProperties"), dict) and isinstance(new.get("additionalProperties"), dict):
            yield from self.schemas(f"{where}.*", old["additionalProperties"], new["additionalProperties"], ways)

    def _fields(self, where: str, old: Part, new: Part, ways: Ways) -> Iterator[Break]:
        before, now = old.get("properties", {}), new.get("properties", {})
        needed, needed_now = set(old.get("required", ())), set(new.get("required", ()))
        for field, schema in before.items():
            if field not in now:
                yield Break(f"{where}.{field}", "the field is gone")
                continue
            yield from self.schemas(f"{where}.{field}", schema, now[field], ways)
            if ways.read and "default" in schema and schema["default"] != now[field].get("default", schema["default"]):
                yield Break(f"{where}.{field}", f"left out it means {now[field]['default']!r} now")
            if ways.written and field in needed - needed_now:
                yield Break(f"{where}.{field}", "was always there and may be missing now")
        for field in sorted(needed_now - needed) if ways.read else ():
            yield Break(f"{where}.{field}", "older programs do not send it, and it is required now")
        if ways.read and new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
            yield Break(where, "unknown fields are refused now")

    def _unions(self, where: str, old: Part, new: Part, ways: Ways) -> Iterator[Break]:
        """Members are matched by the struct they name, else by their type."""
        before, now = _members(old), _members(new)
        for key, member in before.items():
            if key in now:
                yield from self.schemas(where, member, now[key], ways)
            elif ways.read:
                yield Break(where, f"{key} is not taken any more")
        for key in now.keys() - before.keys() if ways.written else ():
            yield Break(where, f"may be {key} now")

    @staticmethod
    def _resolved(schema: Part, known: dict[str, Part]) -> tuple[Part, str]:
        if len(schema.get("allOf", ())) == 1:
            (schema,) = schema["allOf"]
        if "$ref" not in schema:
            return schema, ""
        name = schema["$ref"].rpartition("/")[2]
        return known[name], name


def _members(schema: Part) -> dict[str, Part]:
    members = schema.get("anyOf", [schema])
    return {member.get("$ref", member.get("type", "a word")).rpartition("/")[2]: member for member in members}


def _types(where: str, old: Part, new: Part, ways: Ways) -> Iterator[Break]:
    before, now = _type(old), _type(new)
    if before == now:
        return
    widened = now is None or (before, now) == ("integer", "number")
    narrowed = before is None or (before, now) == ("number", "integer")
    if (ways.read and not widened) or (ways.written and not narrowed):
        yield Break(where, f"is {now or 'anything'} now and was {before or 'anything'}")


def _type(schema: Part) -> str | None:
    """The JSON type; words are texts."""
    if "enum" in schema:
        return "string" if all(isinstance(word, str) for word in schema["enum"]) else None
    kind: str | None = schema.get("type")
    return kind


def _words(where: str, old: Part, new: Part, ways: Ways) -> Iterator[Break]:
    before, now = set(old.get("enum", ())), set(new.get("enum", ()))
    if ways.read and now and (gone := before - now):
        yield Break(where, f"no longer takes {_list(gone)}")
    if ways.read and now and not before and _type(old) is not None:
        yield Break(where, "takes only some words now")
    if ways.written and before and where not in OPEN_WORDS:
        if not now:
            yield Break(where, "may be any text now")
        elif more := now - before:
            yield Break(where, f"may be {_list(more)} now")


def _bounds(where: str, old: Part, new: Part) -> Iterator[Break]:
    for name, none in _LOWER.items():
        before, now = old.get(name, none), new.get(name, none)
        if now is not None and (before is None or now > before):
            yield Break(where, f"{name} is {now} now, which refuses what was taken")
    for name in _UPPER:
        if name in new and (name not in old or new[name] < old[name]):
            yield Break(where, f"{name} is {new[name]} now, which refuses what was taken")
    for name in ("pattern", "format"):
        if name in new and new[name] != old.get(name):
            yield Break(where, f"{name} is another one now")


def _list(words: set[Any]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words))
