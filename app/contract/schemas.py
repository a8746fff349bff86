"""JSON Schemas of the wire's structs, with what each field means."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, get_args, get_type_hints

import msgspec

from workspaced.app.contract import words
from workspaced.fsm.values import END

Schema = dict[str, Any]
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
REF: Final = "#/components/schemas/"

_SOURCE = re.compile(r"\s*\((?:domain|wire|design)\.md[^)]*\)")
"""Where a rule comes from: pages that readers of the contract do not have."""

_PYTHONS_END: Final = msgspec.json.encode(END)[1:-1]
"""In the patterns of JSON Schema `$` is the end of the text and nothing else."""


def components(bodies: Iterable[object]) -> dict[str, Schema]:
    """The schemas of all structs that `bodies` are made of, by name, references as AsyncAPI has them."""
    kinds = _structs(bodies)
    _, found = msgspec.json.schema_components(kinds, ref_template=f"{REF}{{name}}")
    found = msgspec.json.decode(msgspec.json.encode(found).replace(_PYTHONS_END, b"$"))
    by_name = {kind.__name__: kind for kind in kinds}
    return {name: _told(schema, by_name.get(name)) for name, schema in sorted(found.items())}


def schema_of(body: object) -> Schema:
    """The schema of a body by references to `components`; anything at all for None."""
    refs: list[Schema] = [{"$ref": f"{REF}{kind.__name__}"} for kind in alternatives(body)]
    if len(refs) > 1:
        return {"anyOf": refs}
    return refs[0] if refs else {}


def alternatives(body: object) -> tuple[type[msgspec.Struct], ...]:
    """The structs that a body may be: itself, the members of a union, none for any bytes."""
    return get_args(body) or ((body,) if isinstance(body, type) else ())


def standalone(body: object, title: str) -> Schema:
    """The schema of a body with everything it refers to inside."""
    text = msgspec.json.encode({"$defs": components([body]), **schema_of(body)}).replace(REF.encode(), b"#/$defs/")
    schema: Schema = msgspec.json.decode(text)
    return {"$schema": DRAFT, "title": title} | schema


def meaning(kind: type[msgspec.Struct], field: str) -> str:
    """What a field means: the text below it in its struct, else the word that all structs share.

    Raises KeyError with both names when nobody wrote one.
    """
    name = f"{kind.__name__}.{field}"
    for owner in kind.__mro__:
        if text := _texts(owner).get(field):
            return text
        if text := words.FIELDS.get(f"{owner.__name__}.{field}"):
            return text
    if field not in words.FIELDS:
        raise KeyError(f"{name}: say what it means, in a text below the field or in app/contract/words.py")
    return words.FIELDS[field]


def _structs(bodies: Iterable[object]) -> list[type[msgspec.Struct]]:
    """Every struct in `bodies`, those within others too."""
    todo: list[Any] = [kind for body in bodies for kind in alternatives(body)]
    found: dict[type[msgspec.Struct], None] = {}
    while todo:
        kind = todo.pop()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind not in found:
                found[kind] = None
                todo += get_type_hints(kind).values()
        else:
            todo += [part for part in get_args(kind) if not isinstance(part, str)]
    return list(found)


def _told(schema: Schema, kind: type[msgspec.Struct] | None) -> Schema:
    """`schema` with meanings and times; readers of drafts before 2019 ignore what stands beside a reference."""
    told = {name: part for name, part in schema.items() if name != "title"}
    if "description" in told:
        told["description"] = _plain(told["description"])
    if kind is None:
        return told
    hints = get_type_hints(kind)
    names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    for shown, part in told["properties"].items():
        if shown not in names:
            part["description"] = "which of the kinds it is"  # a tag
            continue
        field = names[shown]
        if datetime in {hints[field], *get_args(hints[field])}:
            _add_time(part)
        if "$ref" in part:
            part["allOf"] = [{"$ref": part.pop("$ref")}]
        part["description"] = meaning(kind, field)
    return told


def _add_time(part: Schema) -> None:
    for one in (part, *part.get("anyOf", ())):
        if one.get("type") == "string":
            one["format"] = "date-time"


def _plain(text: str) -> str:
    return _SOURCE.sub("", inspect.cleandoc(text)).replace("\n\n", " ").replace("\n", " ")


def _texts(kind: type) -> Mapping[str, str]:
    """The texts below the fields of a class, by field."""
    if kind not in _known:
        _known[kind] = _read_texts(kind)
    return _known[kind]


_known: dict[type, Mapping[str, str]] = {}


def _read_texts(kind: type) -> dict[str, str]:
    if not kind.__module__.startswith("workspaced."):
        return {}
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    found, field = {}, None
    for node in tree.body if isinstance(tree, ast.ClassDef) else ():
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                field = name
            case ast.Expr(value=ast.Constant(value=str(text))) if field:
                found[field] = _plain(text)
                field = None
            case _:
                field = None
    return found
