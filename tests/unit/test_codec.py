"""Bodies: what is wrong with them is told by field to those who can mend it, and by a stable word otherwise."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bus_messages import ORGANIZATION, a_create, a_job_report, an_id
from workspaced.bus.codec import MAX_BODY, decode_event, decode_request, decode_template
from workspaced.bus.messages import Empty, PutSettings
from workspaced.fsm.commands import Create
from workspaced.fsm.errors import BadRequest, UndecodableMessage
from workspaced.fsm.events import JobReport

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"chat_id": "x"}, "chat_id"),
        ({"chat_id": an_id(1) + "\n"}, "chat_id"),
        ({"chat_id": 7}, "chat_id"),
        ({"owner": {"name": "ada"}}, "owner.id"),
        ({"owner": {"id": an_id(1), "name": "a/b"}}, "owner.name"),
        ({"request_id": "two words"}, "request_id"),
        ({"request_id": ""}, "request_id"),
        ({"parameters": {"cpu": "2", "memory": 4}}, "parameters.memory"),
        ({"parameters": {"cpu": None}}, "parameters.cpu"),
        ({"parameters": []}, "parameters"),
        ({"name": "a\0b"}, "name"),
        ({"parameters": {"cpu": "\0"}}, "parameters.cpu"),
    ],
)
def test_a_request_names_the_faulty_field(fields: dict[str, Any], field: str) -> None:
    """The caller learns which field to mend."""
    with pytest.raises(BadRequest) as caught:
        decode_request(msgspec.json.encode(a_create(**fields)), Create)

    assert (400, "bad_request", field) == (caught.value.status, caught.value.code, caught.value.field)


@pytest.mark.parametrize("missing", ["chat_id", "request_id", "owner", "organization_id", "template_id"])
def test_a_missing_field_is_named(missing: str) -> None:
    """What must be there and is not is named too."""
    body = a_create()
    del body[missing]
    with pytest.raises(BadRequest) as caught:
        decode_request(msgspec.json.encode(body), Create)

    assert caught.value.field == missing


@pytest.mark.parametrize("body", [b"{", b"\xff", b"nonsense", DEEP, b'{"chat_id": "\xff"}', b'{"chat_id": "\\ud800"}'])
def test_a_request_that_is_no_json(body: bytes) -> None:
    """It is a bad request, however it is broken."""
    with pytest.raises(BadRequest):
        decode_request(body, Create)


def test_a_large_request() -> None:
    """More than 256 KiB are refused by a word of their own."""
    with pytest.raises(BadRequest) as caught:
        decode_request(b" " * (MAX_BODY + 1), Create)

    assert caught.value.code == "too_large"


def test_an_escaped_backslash_is_no_nul() -> None:
    r"""The six characters \u0000 are a legal text when the backslash itself is escaped."""
    body = msgspec.json.encode(a_create(parameters={"text": "\\u0000"}))

    assert decode_request(body, Create).parameters == {"text": "\\u0000"}


def test_an_empty_body_is_an_empty_object() -> None:
    """A request without fields needs no body."""
    assert Empty() == decode_request(b"", Empty)


def test_unknown_fields_are_ignored() -> None:
    """A newer client may say more."""
    assert decode_request(msgspec.json.encode(a_create(colour="red")), Create).request_id == "r1"


def test_settings_are_texts() -> None:
    """A setting that is no text is named."""
    with pytest.raises(BadRequest) as caught:
        decode_request(b'{"settings": {"starting_deadline": 5}}', PutSettings)

    assert caught.value.field == "settings.starting_deadline"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (DEEP, "bad_body"),  # begins with an array where an object belongs
        (b'{"x": ' + DEEP + b"}", "not_json"),
        (b"[]", "bad_body"),
        (b"{}", "bad_body"),
        (msgspec.json.encode(a_job_report(build_number=0)), "bad_body"),
        (msgspec.json.encode(a_job_report(error="a\0b")), "bad_body"),
        (msgspec.json.encode(a_job_report(agents=[{"id": "x", "name": "main"}])), "bad_body"),
        (msgspec.json.encode(a_job_report(at="2026-01-01T00:00:00")), "bad_body"),
    ],
)
def test_an_undecodable_event(body: bytes, reason: str) -> None:
    """It ends in DEAD under one of two words."""
    with pytest.raises(UndecodableMessage) as caught:
        decode_event(body, JobReport)

    assert reason == caught.value.reason


@given(st.binary(max_size=200))
def test_decoding_is_total(body: bytes) -> None:
    """No bytes at all lead to any other error."""
    with pytest.raises(UndecodableMessage) as caught:
        decode_event(body, JobReport)

    assert caught.value.reason in {"not_json", "bad_body"}


def a_template(**fields: Any) -> bytes:  # noqa: ANN401  # any JSON
    """The body of `templates.put`."""
    return msgspec.json.encode({"template": {"name": "go", "organization_id": ORGANIZATION} | fields})


@pytest.mark.parametrize(
    ("given", "expected"), [({}, an_id(9)), ({"id": None}, an_id(9)), ({"id": an_id(8)}, an_id(8))]
)
def test_a_template_gets_an_id_when_it_has_none(given: dict[str, Any], expected: str) -> None:
    """Its own id is kept."""
    assert expected == decode_template(a_template(**given), an_id(9)).id


def test_a_template_keeps_its_source() -> None:
    """The source is opaque: any JSON passes through."""
    assert bytes(decode_template(a_template(source={"a": [1, "x"]}), an_id(9)).source) == b'{"a":[1,"x"]}'


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{}", "bad_request", "template"),
        (a_template(name="a b"), "invalid_template", "template.name"),
        (a_template(provisioner="a.b"), "invalid_template", "template.provisioner"),
        (a_template().replace(b'"go"', b'"go","source":1e999999'), "invalid_template", "template.source"),
        (a_template().replace(b'"go"', b'"go","source":"\xff"'), "invalid_template", "template.source"),
    ],
)
def test_a_bad_template(body: bytes, code: str, field: str) -> None:
    """The fault is named by its place in the template."""
    with pytest.raises(BadRequest) as caught:
        decode_template(body, an_id(9))

    assert (code, field) == (caught.value.code, caught.value.field)


@pytest.mark.parametrize("rest", [b"", b',"x":' + b"[" * 5000], ids=["cut off", "nested without end"])
def test_a_fault_in_a_body_that_is_no_json_either(rest: bytes) -> None:
    """The fault is found before the end is read; looking for its place must not fail on the rest."""
    with pytest.raises(UndecodableMessage) as caught:
        decode_event(b'{"settings":{"a":1}' + rest, PutSettings)

    assert str(caught.value) == "bad_body: settings.?: expected `str`, got `int`"
