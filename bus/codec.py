"""Bodies to structs and back; every way in which a body can be wrong ends in one of two errors.

A request's fault is the caller's to mend: `BadRequest` names the field. An event's fault is nobody's to mend any more:
`UndecodableMessage`, `not_json` or `bad_body`, and the message goes to DEAD.
"""

import re
from typing import Any, Final, TypeVar

import msgspec

from workspaced.bus.headers import one_line
from workspaced.fsm.errors import BadRequest, UndecodableMessage
from workspaced.fsm.template import Template
from workspaced.fsm.values import END, UUID_PATTERN

MAX_BODY: Final = 262_144
"""Bytes of a body, and of a message with its headers in EVENTS and LOGS."""

T = TypeVar("T")
_ESCAPED_NUL = b"\\u0000"
_AT = re.compile(r"^(?P<text>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_UUID_LENGTH = re.compile("of length [<>]= 36$")

encode = msgspec.json.encode


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The one decoder of `kind`; making one costs more than a hundred messages."""
    known = _decoders.get(kind)
    if known is None:
        known = _decoders[kind] = msgspec.json.Decoder(kind)
    return known


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode(body: bytes, kind: type[T]) -> T:
    """What somebody else wrote, as `kind`. Raises ValueError and nothing else, with a short line that may be logged."""
    try:
        return decoder(kind).decode(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(one_line(str(error))[:200]) from None


def decode_request(body: bytes, kind: type[T]) -> T:
    """The request in `body`; an empty body counts as `{}`.

    Raises BadRequest with the faulty field, code `too_large` above 256 KiB.
    """
    if len(body) > MAX_BODY:
        raise BadRequest(f"the body has {len(body)} bytes; {MAX_BODY} are the most", code="too_large")
    body = body or b"{}"
    try:
        request = decoder(kind).decode(body)
        _refuse_nul(body)
    except msgspec.ValidationError as error:
        field, text = _fault(str(error), body)
        raise BadRequest(f"{field}: {text}" if field else f"the body is not usable: {text}", field=field) from None
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON", detail=_cut(error)) from None
    return request


def decode_command(body: bytes, kind: type[T]) -> T:
    """The command in `body`, as `decode_request`; also what nobody reads must be UTF-8, for repeats are compared by it.

    Raises BadRequest.
    """
    command = decode_request(body, kind)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the body is not JSON", detail=_cut(error)) from None
    return command


def decode_event(body: bytes, kind: Any) -> Any:  # noqa: ANN401  # kind may be a union, which `type[T]` cannot say
    """The event in `body`. Raises UndecodableMessage, `not_json` or `bad_body`, with the fault."""
    try:
        event = decoder(kind).decode(body)
        _refuse_nul(body)
    except msgspec.ValidationError as error:
        field, text = _fault(str(error), body)
        raise UndecodableMessage("bad_body", f"{field}: {text}" if field else text) from None
    except (ValueError, RecursionError) as error:
        raise UndecodableMessage("not_json", _cut(error)) from None
    return event


def decode_template(body: bytes, new_id: str) -> Template:
    """The template in the body of `templates.put`, under `new_id` when it names none.

    Raises BadRequest, code `invalid_template` for a fault within the template.
    """
    fields = decode_request(body, _PutTemplate).template
    if fields.get("id", _NULL) == _NULL:
        fields = {**fields, "id": msgspec.Raw(encode(new_id))}
    try:
        template = decode_request(encode(fields), Template)
        msgspec.json.decode(template.source)  # opaque, but it must be JSON that Postgres takes too
    except BadRequest as error:
        field = f"template.{error.field}" if error.field else "template"
        raise BadRequest(str(error), code="invalid_template", field=field, detail=error.detail) from None
    except (ValueError, RecursionError) as error:
        raise BadRequest(
            "source is not usable JSON", code="invalid_template", field="template.source", detail=_cut(error)
        ) from None
    return template


_NULL = msgspec.Raw(b"null")


class _PutTemplate(msgspec.Struct):
    template: dict[str, msgspec.Raw]


def _fault(message: str, body: bytes) -> tuple[str | None, str]:
    """The field that msgspec's `message` is about (`owner.id`, `parameters.cpu`), and what is wrong with it."""
    match = _AT.match(message)
    text, path = (match["text"], match["path"] or "") if match else (message, "")
    field = path.lstrip(".")
    if missing := _MISSING.match(text):
        return f"{field}.{missing['name']}".lstrip("."), "this field is required"
    if field.endswith("[...]"):
        field = f"{field.removesuffix('[...]')}.{_first_that_is_no_text(body, field.removesuffix('[...]'))}"
    if UUID_PATTERN in text or _UUID_LENGTH.search(text):
        text = "must be a UUID in canonical lower case"
    text = text.replace(repr(END)[1:-1], "$")
    return field or None, text[:1].lower() + text[1:]


def _first_that_is_no_text(body: bytes, path: str) -> str:
    """The key under `path` whose value is no text; msgspec does not tell which of a mapping's values is wrong."""
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # the fault was found before the body's end, which is no JSON either
        return "?"
    for name in path.split("."):
        value = value.get(name, {}) if isinstance(value, dict) else {}
    entries = value.items() if isinstance(value, dict) else ()
    return next((str(key)[:128] for key, entry in entries if not isinstance(entry, str)), "?")


def _refuse_nul(body: bytes) -> None:
    """Postgres takes no NUL in a text, and one refused value fails a whole batch, so none gets further than here."""
    if _ESCAPED_NUL in body and (path := _path_to_nul(msgspec.json.decode(body))) is not None:
        raise msgspec.ValidationError(f"Texts with a NUL character are refused - at `${path}`")


def _path_to_nul(value: object) -> str | None:
    todo = [("", value)]
    while todo:
        path, current = todo.pop()
        match current:
            case str(text) if "\x00" in text:
                return path
            case dict(entries):
                todo += [(path, key) for key in entries]
                todo += [(f"{path}.{key}", entry) for key, entry in entries.items()]
            case list(items):
                todo += [(f"{path}[{index}]", item) for index, item in enumerate(items)]
    return None


def _cut(error: Exception) -> str:
    return str(error)[:200]
