"""Odd values in a create on the real servers: taken as what they are, or refused by name; nothing is lost or made."""

import json
import sys
import unicodedata
from collections import defaultdict
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.answer import only_what_was_asked
from tests.e2e.refusals import Refusal, made, refusal
from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from workspaced.fsm.names import name_fault

ODD = {
    "control": "a\u0001\u001b[31m\u007f\u0085b",
    "combining": "e\u0301\u0327" * 40,
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u202eevil\u202c",
    "an emoji": "\U0001f469\u200d\U0001f680\U0001f1e9\U0001f1ea",
    "zero width": "de\u200bv\ufeff\u2060",
    "spaces": " \t\r\n\u2028\u00a0\u3000",
    "full width": "\uff44\uff45\uff56",
    "not characters": "\ufffe\uffff\U0010ffff",
    "private": "\ue000\U000f0000",
    "a path": "../../etc/passwd",
    "SQL": "'; drop table workspaced.chats; --",
    "a subject": "ws.cmd.>.*",
    "a last newline": "dev\n\n",
    "hyphens": "--a--b--",
    "long": "x" * 10_000,
}


def of_every_class() -> dict[str, str]:
    """For each of Unicode's classes its first, its middle and its last character, between letters.

    Halves of pairs (Cs) are no text at all and have their own test, and so has NUL.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for number in range(1, sys.maxunicode + 1):
        classes[unicodedata.category(chr(number))].append(chr(number))
    del classes["Cs"]
    return {f"class {name}": f"a{had[0]}b{had[len(had) // 2]}c{had[-1]}d" for name, had in sorted(classes.items())}


ODD |= of_every_class()


async def test_a_name_of_any_characters(stack: Stack, subtests: pytest.Subtests) -> None:
    """What is no name is the seed of one, which is plain; the job has it as the snapshot does."""
    await stack.engine()
    for what, text in ODD.items():
        reply = await stack.create(str(uuid4()), name=text)
        job = await stack.provisioner.job(reply.build_id)
        with subtests.test(what):
            assert reply.snapshot is not None
            assert reply.snapshot.workspace is not None
            assert name_fault(reply.snapshot.workspace.name) is None
            assert job["workspace"]["name"] == reply.snapshot.workspace.name
    await only_what_was_asked(stack)


async def test_a_value_of_any_characters(stack: Stack, subtests: pytest.Subtests) -> None:
    """A parameter's value comes to the provisioner as it was given, also with the next build."""
    await stack.engine()
    rules = [{"name": what} for what in ODD]
    known = {"id": TEMPLATE, "organization_id": ORGANIZATION, "name": "plain", "parameters": rules}
    await stack.client.put_template(known)
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat, parameters=ODD)).build_id)
    await stack.provisioner.tell(job, "failed", error="no such image")
    again = await stack.provisioner.job((await stack.client.start(chat)).build_id)

    for what, text in ODD.items():
        with subtests.test(what):
            assert (job["parameters"][what], again["parameters"][what]) == (text, text)


def bad(field: str | None, error: str, **more: Any) -> Refusal:  # noqa: ANN401  # any JSON
    """A body that is not well formed."""
    return 400, {"code": "bad_request", "error": error} | ({"field": field} if field else {}) | more


def a_fault(field: str, text: str) -> Refusal:
    """A field that is not well formed; the error begins with its name."""
    return bad(field, f"{field}: {text}")


NUL = "texts with a NUL character are refused"
NAME = "expected `str` matching regex '^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$'"
FIELDS: dict[str, tuple[dict[str, Any], Refusal]] = {
    "a list of parameters": ({"parameters": []}, a_fault("parameters", "expected `object | null`, got `array`")),
    "a text of parameters": ({"parameters": "cpu=4"}, a_fault("parameters", "expected `object | null`, got `str`")),
    "a number": ({"parameters": {"cpu": 4}}, a_fault("parameters.cpu", "expected `str`, got `int`")),
    "a boolean": ({"parameters": {"a": "1", "b": True}}, a_fault("parameters.b", "expected `str`, got `bool`")),
    "null": ({"parameters": {"cpu": None}}, a_fault("parameters.cpu", "expected `str`, got `null`")),
    "an object": ({"parameters": {"cpu": {"a": "b"}}}, a_fault("parameters.cpu", "expected `str`, got `object`")),
    "a NUL in a value": ({"parameters": {"cpu": "4\0"}}, a_fault("parameters.cpu", NUL)),
    "a NUL in a key": ({"parameters": {"c\0": "4"}}, a_fault("parameters", NUL)),
    "a number as name": ({"name": 5}, a_fault("name", "expected `str | null`, got `int`")),
    "a newline after the owner's name": ({"owner": {"id": str(uuid4()), "name": "ada\n"}}, a_fault("owner.name", NAME)),
    "an emoji as the owner's name": ({"owner": {"id": str(uuid4()), "name": "🙂"}}, a_fault("owner.name", NAME)),
    "a newline after the request_id": (
        {"request_id": "r\n"},
        a_fault("request_id", "expected `str` matching regex '^[!-~]+$'"),
    ),
    "no text as template": ({"template_id": 7}, a_fault("template_id", "expected `str`, got `int`")),
    "no id as parent": ({"parent_chat_id": "x"}, a_fault("parent_chat_id", "must be a UUID in canonical lower case")),
}


async def test_fields(stack: Stack, subtests: pytest.Subtests) -> None:
    """Each is refused with its name."""
    await stack.engine()
    for what, (fields, expected) in FIELDS.items():
        with subtests.test(what):
            assert await refusal(stack, "create", stack.a_create(str(uuid4())) | fields) == expected
    assert await made(stack) == [0, 0, 0, 0]
    await only_what_was_asked(stack)


BROKEN = {
    "half a surrogate pair": b'"\\ud83d"',
    "a pair the wrong way round": b'"\\udc00\\ud800"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "no UTF-8": b'"\xff\xfe"',
    "a control character": b'"\x01"',
    "an open end": b'"',
}


@pytest.mark.parametrize("field", ["name", "unknown"])
async def test_broken_text(stack: Stack, subtests: pytest.Subtests, field: str) -> None:
    """What no JSON can be is refused as such, also where nobody reads it; it never gets as far as the stream."""
    await stack.engine()
    whole = json.dumps(stack.a_create(str(uuid4())) | {field: "?"}).encode()
    for what, text in BROKEN.items():
        with subtests.test(what):
            status, error = await refusal(stack, "create", whole.replace(b'"?"', text))
            assert (status, error["code"], error["error"]) == (400, "bad_request", "the body is not JSON")
    assert await made(stack) == [0, 0, 0, 0]
    await only_what_was_asked(stack)


@pytest.mark.parametrize("count", [100, 101, 10_000])
async def test_many_unknown_parameters(stack: Stack, count: int) -> None:
    """A hundred are named, the others are counted."""
    await stack.engine()
    names = [f"p{number:05}" for number in range(count)]
    shown = [{"field": name, "detail": "unknown parameter"} for name in names[:100]]
    more = [{"field": "", "detail": f"and {count - 100} more"}] if count > 100 else []
    body = stack.a_create(str(uuid4()), parameters=dict.fromkeys(names, "1"))

    assert await refusal(stack, "create", body) == (
        400,
        {"code": "invalid_parameters", "error": "unable to validate parameters", "validations": shown + more},
    )
    assert await made(stack) == [0, 0, 0, 0]
