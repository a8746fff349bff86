"""The contract as tables of `docs/protocol.md`."""

import json
from collections.abc import Iterable
from typing import Any, Final

from workspaced.app.contract import words
from workspaced.app.contract.asyncapi import document
from workspaced.app.contract.channels import CHANNELS, Channel
from workspaced.app.contract.examples import examples
from workspaced.app.contract.schemas import alternatives
from workspaced.fsm.errors import ErrorBody

_PATTERNS: Final = {36: "UUID"}

Part = dict[str, Any]


def subjects() -> str:
    """Every subject but those of requests: who sends, who gets, what."""
    rows = [
        f"| `{_address(one)}` | {_names(one.senders)} | {_names(one.receivers)} | {one.stream or '-'} | "
        f"{_bodies(one.body)} | {one.summary} |"
        for one in CHANNELS
        if one.kind in {"event", "order", "announcement"} or (one.kind == "request" and "agent" in one.receivers)
    ]
    return _table(("subject", "from", "to", "stream", "body", ""), rows)


def requests() -> str:
    """Every verb of `ws.api`: who may ask, with which body, what comes back."""
    rows = [
        f"| `{one.address}` | {_names(one.senders)} | {_bodies(one.body)} | {_bodies(one.reply)} | {one.summary} |"
        for one in CHANNELS
        if one.kind == "request" and "engine" in one.receivers and one.same_as is None
    ]
    return _table(("subject", "who may ask", "body", "reply", ""), rows)


def internal() -> str:
    """What engines and the server tell themselves."""
    rows = [
        f"| `{_address(one)}` | {one.stream or '-'} | {one.summary} |"
        for one in CHANNELS
        if one.kind == "internal" and not one.name.startswith("cmd.")
    ]
    return _table(
        ("subject", "stream", ""),
        ["| `ws.cmd.<chat_id>.<verb>` | EVENTS | A command that was taken and is not decided yet. |", *rows],
    )


def errors() -> str:
    """Every word of an error by its status."""
    rows = [f"| {status} | {text} | {_words(told)} |" for status, (text, told) in words.ERRORS.items()]
    return _table(("status", "means", "`code`"), rows)


def headers() -> str:
    """Every header of the wire."""
    return _table(("header", ""), [f"| `{name}` | {text} |" for name, text in words.HEADERS.items()])


def dead_reasons() -> str:
    """Why a message may be dead."""
    return _table(("`Ws-Dead-Reason`", ""), [f"| `{name}` | {text} |" for name, text in words.DEAD_REASONS.items()])


def bodies() -> str:
    """Every struct with its fields, in the order in which the subjects bring them up."""
    schemas = document()["components"]["schemas"]
    return "\n".join(_struct(name, schemas[name]) for name in _in_order(schemas))


def golden(name: str) -> str:
    """One golden message."""
    known = examples()[name]
    text = json.dumps(known["body"], indent=2)
    return f"```json\n{text}\n```\n"


def _in_order(schemas: dict[str, Part]) -> list[str]:
    roots = [kind.__name__ for one in CHANNELS for body in (one.body, one.reply) for kind in alternatives(body)]
    found: dict[str, None] = {}
    for root in [*roots, ErrorBody.__name__]:
        todo = [root]
        while todo:
            name = todo.pop(0)
            if name not in found:
                found[name] = None
                todo += _refs(schemas[name])
    return list(found)


def _refs(part: object) -> list[str]:
    match part:
        case {"$ref": str(ref)}:
            return [ref.rpartition("/")[2]]
        case dict():
            return [name for each in part.values() for name in _refs(each)]
        case list():
            return [name for each in part for name in _refs(each)]
    return []


def _struct(name: str, schema: Part) -> str:
    title = f"### {name}\n\n{schema.get('description', '')}\n"
    if "enum" in schema:
        return f"{title}\nOne of {_words(schema['enum'])}.\n"
    required = schema.get("required", ())
    rows = [
        f"| `{field}`{'' if field in required else '?'} | {_shape(part)} | {part['description'].replace('|', '/')} |"
        for field, part in schema["properties"].items()
    ]
    return f"{title}\n{_table(('field', 'type', ''), rows)}" if rows else f"{title}\nNo fields.\n"


def _shape(part: Part) -> str:
    """The type of a field in a few words."""
    match part:
        case {"anyOf": list(members)}:
            return " or ".join(_shape(member) for member in members)
        case {"allOf": [only]}:
            return _shape(only)
        case {"$ref": str(ref)}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"enum": list(told)}:
            return _words(told)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_shape(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object of {_shape(values)} by name"
        case {"type": "string"}:
            return _text(part)
        case {"type": "integer" | "number"}:
            return _number(part)
        case {"type": str(kind)}:
            return kind
    return "any JSON"


def _text(part: Part) -> str:
    if part.get("format") == "date-time":
        return "time"
    if part.get("maxLength") in _PATTERNS and "pattern" in part:
        return _PATTERNS[part["maxLength"]]
    bounds = f", {part.get('minLength', 0)} to {part['maxLength']:,} characters" if "maxLength" in part else ""
    pattern = f", `{part['pattern']}`" if "pattern" in part else ""
    return f"text{bounds}{pattern}".replace("|", "\\|")


def _number(part: Part) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    shown = f", {low:,} to {high:,}" if low is not None and high is not None and high < 2**31 - 1 else ""
    shown = shown or (f", at least {low:,}" if low is not None and low >= 0 else "")
    return f"{part['type']}{shown}"


def _address(channel: Channel) -> str:
    return channel.address.replace("{", "<").replace("}", ">")


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _words(told: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in told)


def _bodies(body: object) -> str:
    return " or ".join(f"[{kind.__name__}](#{kind.__name__.lower()})" for kind in alternatives(body)) or "any bytes"


def _table(titles: tuple[str, ...], rows: Iterable[str]) -> str:
    return "\n".join([f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *rows]) + "\n"
