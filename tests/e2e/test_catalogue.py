"""The catalogue on the real servers (domain.md 5) and what its rules say of a create's parameters (4.3)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.refusals import Body, made, refusal
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack

OPTIONS = [{"name": "Small", "value": "s"}, {"name": "Large", "value": "l"}]
RULES: list[Body] = [
    {"name": "count", "type": "number", "validation_min": 2, "validation_max": 4},
    {"name": "flag", "type": "bool"},
    {"name": "list", "type": "list(string)", "options": OPTIONS},
    {"name": "must", "required": True},
    {"name": "size", "options": OPTIONS},
    {"name": "word", "validation_regex": r"^(\w+\s?)+$"},
]
SOUND = {"count": "2.5", "flag": "true", "list": '["s", "l"]', "must": "", "size": "s", "word": "two words"}
"""A value for each."""
FAULTS: dict[str, tuple[str, str | None, str]] = {
    "a text as number": ("count", "two", "must be a number"),
    "no number's form": ("count", "3e0", "must be a number"),
    "too little": ("count", "1.9", "must be at least 2"),
    "too much": ("count", "9" * 500, "must be at most 4"),
    "a text as truth": ("flag", "yes", "must be true or false"),
    "a text as list": ("list", "s", "must be a JSON list of texts"),
    "a list of numbers": ("list", "[1]", "must be a JSON list of texts"),
    "a deep list": ("list", "[" * 100_000, "must be a JSON list of texts"),
    "a list's option": ("list", '["s", "m"]', "must be one of: s, l"),
    "nothing": ("must", None, "required parameter is missing"),
    "an option": ("size", "m", "must be one of: s, l"),
    "a pattern": ("word", "", r"must match ^(\w+\s?)+$"),
    "a pattern, almost": ("word", "a" * 100_000 + "!", r"must match ^(\w+\s?)+$"),
    "no parameter": ("other", "1", "unknown parameter"),
}


async def put(stack: Stack, **fields: Any) -> Body:  # noqa: ANN401  # any field of a template
    """The catalogue's one template, as it is stored then."""
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain"}
    return await stored(stack, (await stack.client.put_template(known | fields)).template.id)


async def stored(stack: Stack, template_id: str) -> Body:
    """A template's row."""
    (row,) = await stack.sql("select * from workspaced.templates where id = $1", template_id)
    return dict(row)


async def test_each_fault_of_a_parameter(stack: Stack, subtests: pytest.Subtests) -> None:
    """With the parameter's name and what it must be; nothing is made. And all of them at once."""
    await stack.engine()
    await put(stack, parameters=RULES)
    for what, (name, value, detail) in FAULTS.items():
        values = {key: text for key, text in (SOUND | {name: value}).items() if text is not None}
        with subtests.test(what):
            assert await refusal(stack, "create", stack.a_create(str(uuid4()), parameters=values)) == (
                400,
                {
                    "code": "invalid_parameters",
                    "error": "unable to validate parameters",
                    "validations": [{"field": name, "detail": detail}],
                },
            )
    _, error = await refusal(
        stack, "create", stack.a_create(str(uuid4()), parameters={"count": "x", "flag": "x", "list": "x", "size": "x"})
    )
    assert [fault["field"] for fault in error["validations"]] == ["count", "flag", "list", "must", "size"]
    assert await made(stack) == [0, 0, 0, 0]


async def test_what_a_build_gets(stack: Stack) -> None:
    """Defaults, over them the preset's values, over them the given ones."""
    await stack.engine()
    preset = {"id": str(uuid4()), "name": "large", "parameters": {"b": "preset", "c": "preset"}}
    await put(stack, parameters=[{"name": name, "default": "default"} for name in "abc"], presets=[preset])

    reply = await stack.create(str(uuid4()), preset_id=preset["id"], parameters={"c": "given"})
    job = await stack.provisioner.job(reply.build_id)

    assert (job["parameters"], job["preset_id"]) == ({"a": "default", "b": "preset", "c": "given"}, preset["id"])


A_PRESET: Body = {"id": str(uuid4()), "name": "large"}
BAD: dict[str, tuple[Body, list[tuple[str, str]]]] = {
    "a name": ({"name": "create"}, [("name", 'cannot use "create" as a name')]),
    "a default": (
        {"parameters": [{"name": "p", "type": "number", "default": "x"}]},
        [("parameters.p.default", "must be a number")],
    ),
    "a default that is no option": (
        {"parameters": [{"name": "p", "options": OPTIONS, "default": "m"}]},
        [("parameters.p.default", "must be one of: s, l")],
    ),
    "an option": (
        {"parameters": [{"name": "p", "type": "number", "options": OPTIONS[:1]}]},
        [("parameters.p.options.Small", "must be a number")],
    ),
    "a pattern": (
        {"parameters": [{"name": "p", "validation_regex": "("}]},
        [("parameters.p", "validation_regex does not compile: missing ): (")],
    ),
    "a pattern of another engine": (
        {"parameters": [{"name": "p", "validation_regex": "(?=a)"}]},
        [("parameters.p", "validation_regex does not compile: invalid perl operator: (?=")],
    ),
    "a range": (
        {"parameters": [{"name": "p", "type": "number", "validation_min": 2, "validation_max": 1}]},
        [("parameters.p", "validation_min is above validation_max")],
    ),
    "a parameter twice": (
        {"parameters": [{"name": "p"}, {"name": "p"}]},
        [("parameters.p", "stands there more than once")],
    ),
    "a preset twice": (
        {"presets": [A_PRESET, A_PRESET | {"id": str(uuid4())}]},
        [("presets.large", "stands there more than once")],
    ),
    "two defaults": (
        {"presets": [A_PRESET | {"is_default": True}, {"id": str(uuid4()), "name": "small", "is_default": True}]},
        [("presets", "at most one preset may be the default")],
    ),
    "a preset's value": (
        {"parameters": [{"name": "p", "type": "bool"}], "presets": [A_PRESET | {"parameters": {"p": "x"}}]},
        [("presets.large.p", "must be true or false")],
    ),
    "a preset's parameter": (
        {"presets": [A_PRESET | {"parameters": {"p": "x"}}]},
        [("presets.large.p", "unknown parameter")],
    ),
    "a deadline": ({"deadlines": {"building": "0s"}}, [("deadlines.building", "must be longer than zero")]),
    "all at once": (
        {"name": "new", "parameters": [{"name": "p", "default": "m", "options": OPTIONS}]},
        [("name", 'cannot use "new" as a name'), ("parameters.p.default", "must be one of: s, l")],
    ),
}


async def test_what_is_no_template(stack: Stack, subtests: pytest.Subtests) -> None:
    """Refused whole, with every fault; what is stored stays."""
    await stack.engine()
    before = await stored(stack, TEMPLATE)
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain"}
    for what, (fields, faults) in BAD.items():
        with subtests.test(what):
            assert await refusal(stack, "templates.put", {"template": known | fields}) == (
                400,
                {
                    "code": "invalid_template",
                    "error": f"{faults[0][0]}: {faults[0][1]}",
                    "field": faults[0][0],
                    "validations": [{"field": field, "detail": detail} for field, detail in faults],
                },
            )
    assert await stored(stack, TEMPLATE) == before


async def test_a_name_is_one_templates(stack: Stack) -> None:
    """In its organization, ignoring case."""
    await stack.engine()
    other = {"organization_id": ORGANIZATION, "name": "PLAIN"}

    status, error = await refusal(stack, "templates.put", {"template": other})
    elsewhere = await stack.client.put_template(other | {"organization_id": str(uuid4())})

    assert (status, error["code"], error["field"]) == (409, "name_taken", "name")
    assert elsewhere.template.name == "PLAIN"


async def test_versions(stack: Stack, subtests: pytest.Subtests) -> None:
    """Changed parameters, presets or source make a new one, anything else does not."""
    await stack.engine()
    fields: Body = {}
    version = (await put(stack))["active_version_id"]
    changes: list[tuple[Body, bool]] = [
        ({"parameters": [{"name": "p", "default": "1"}]}, True),
        ({"parameters": [{"name": "p", "default": "2"}]}, True),
        ({"presets": [A_PRESET | {"parameters": {"p": "1"}}]}, True),
        ({"source": {"image": "a", "size": 1}}, True),
        ({"source": {"size": 1, "image": "a"}}, False),
        ({"description": "other", "readme": "other", "deprecated": True}, False),
        ({"provisioner": "gpu", "default_ttl_ms": 1000, "deadlines": {"building": "1m"}}, False),
    ]
    for change, new in changes:
        fields |= change
        then = (await put(stack, **fields))["active_version_id"]
        with subtests.test(str(change)):
            assert (then != version) == new
        version = then
