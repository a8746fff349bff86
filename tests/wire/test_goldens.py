"""Golden messages of every version: this version reads them, writes them back, and its schemas take them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from workspaced.app.contract import files
from workspaced.app.contract.asyncapi import document
from workspaced.app.contract.examples import body_types, examples
from workspaced.app.contract.schemas import alternatives
from workspaced.bus import tokens
from workspaced.bus.codec import decode_request, encode
from workspaced.bus.subject_parser import parse
from workspaced.fsm.effects import Timed

RELEASED = Path(__file__).parents[2] / "docs" / "contract" / "released"
SUBJECTS_WITHOUT_PARSER = ("ws.api.", "ws.timer.", "ws.revoke.", "ws.agents", "ws.kick.", "ws.org.")
KINDS = body_types()
SCHEMAS = files.schemas()

Golden = dict[str, Any]


def every_version() -> list[Any]:
    """Each golden message with the version that it was first golden in."""
    versions = {path.parent.name: json.loads(path.read_bytes()) for path in sorted(RELEASED.glob("*/examples.json"))}
    seen: list[Golden] = []
    found = []
    for version, goldens in (versions | {"next": examples()}).items():
        for name, golden in goldens.items():
            if (known := golden | {"name": name}) not in seen:
                seen.append(known)
                found.append(pytest.param(name.partition(":")[0], golden, id=f"{version}-{name}"))
    return found


def read(name: str, body: bytes) -> Any:  # noqa: ANN401  # one of the structs
    """The body as the struct that the contract names."""
    kinds = alternatives(KINDS[name])
    if name in {"timer", "due"}:
        return msgspec.json.decode(body, type=Timed)
    for kind in kinds[:-1]:
        try:
            return decode_request(body, kind)
        except Exception:  # noqa: BLE001, S112  # the next of the alternatives, then
            continue
    return decode_request(body, kinds[-1])


@pytest.mark.parametrize(("name", "golden"), every_version())
def test_read_and_written_back(name: str, golden: Golden) -> None:
    """No field is lost and none changes its value on the way through a struct."""
    if KINDS[name] is None:
        return
    body = golden["body"]

    back = json.loads(encode(read(name, json.dumps(body).encode())))

    assert {key: value for key, value in back.items() if key in body} == body
    assert [value for key, value in back.items() if key not in body and value not in EMPTY] == []


EMPTY: tuple[object, ...] = (None, "", [], {}, False, True, 0, 1, 50, 100, 400, "chats", "local")
"""What a field that was left out may become: the defaults."""


@pytest.mark.parametrize(("name", "golden"), every_version())
def test_schemas_take_them(name: str, golden: Golden) -> None:
    """The exported schema of its message is one that the golden message passes."""
    if name in SCHEMAS:
        jsonschema.validate(golden["body"], SCHEMAS[name], cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(("name", "golden"), every_version())
def test_subjects_are_known(name: str, golden: Golden) -> None:
    """The subject is one of the engine's."""
    subject = golden.get("subject", "")
    if subject.startswith("ws.api."):
        assert subject.removeprefix("ws.api.") in tokens.API_VERBS
    elif subject and not subject.startswith(SUBJECTS_WITHOUT_PARSER):
        parse(subject)
    else:
        assert name.endswith("-reply") or name in {"error", "timer", "revoke", "agents", "kick", "org-chat"}


@pytest.mark.parametrize(("name", "golden"), every_version())
def test_unknown_fields_are_ignored(name: str, golden: Golden) -> None:
    """What a newer program adds does not disturb this one."""
    if KINDS[name] is None:
        return
    body = golden["body"]

    assert read(name, json.dumps(body | {"from_the_future": {"x": [1]}}).encode()) == read(
        name, json.dumps(body).encode()
    )


@pytest.mark.parametrize(("name", "golden"), every_version())
def test_only_required_fields_are_needed(name: str, golden: Golden) -> None:
    """What the schema does not require may be missing, and then has its default."""
    schema = SCHEMAS.get(name)
    if schema is None or "$ref" not in schema:
        return
    required = schema["$defs"][schema["$ref"].rpartition("/")[2]]["required"]
    body = {key: value for key, value in golden["body"].items() if key in required}

    jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)
    read(name, json.dumps(body).encode())


def test_every_message_has_a_golden_one() -> None:
    """None is forgotten when a kind of message is added."""
    assert set(KINDS) == {name.partition(":")[0] for name in examples()}


def test_golden_messages_have_every_field() -> None:
    """A field that is added to a struct is added to a golden message."""
    shown: dict[str, set[str]] = {}
    for name, golden in examples().items():
        for kind in alternatives(KINDS[name.partition(":")[0]]):
            shown.setdefault(kind.__name__, set()).update(golden["body"])
    missing = {
        f"{kind.__name__}.{field}"
        for body in KINDS.values()
        for kind in alternatives(body)
        for field in kind.__struct_encode_fields__
        if field not in shown[kind.__name__]
    }

    assert missing == LEFT_OUT


LEFT_OUT = {
    "DeadRequest.after",
    "ErrorBody.detail",
    "History.next",
    "HistoryRequest.limit",
    "ListRequest.after",
    "ListRequest.kind",
    "ListRequest.organization_id",
    "ListRequest.owner_id",
    "ListRequest.template_id",
    "ListRequest.unbound",
    "LogsRequest.limit",
    "TemplatesRequest.page",
}
"""In no golden message, for they are seldom sent."""


@pytest.mark.parametrize(("name", "golden"), every_version())
def test_headers_are_told(name: str, golden: Golden) -> None:
    """Those of a golden message are its message's; reports may carry none, as before there were any."""
    told = document()["components"]["messages"].get(name, {}).get("headers", {})
    headers = golden.get("headers", {})

    assert set(headers) <= set(told.get("properties", {}))
    if headers:
        jsonschema.validate(headers, told, cls=jsonschema.Draft202012Validator)
    assert set(told.get("required", [])) == set() or name in {"job", "chat", "org-chat", "error"}


@pytest.mark.parametrize("name", [name for name, golden in examples().items() if "headers" in golden])
def test_headers_say_what_the_message_says(name: str) -> None:
    """Id and time are the body's; what it is and who says it are in the subject."""
    golden = examples()[name]
    headers, parts = golden["headers"], golden["subject"].split(".")

    assert headers["ce-id"] == headers["Nats-Msg-Id"] == golden["body"]["id"]
    assert headers["ce-time"] == golden["body"]["at"]
    if "agent" in parts:
        assert headers["ce-type"] == f"workspaced.event.agent.{parts[-1]}"
        assert headers["ce-source"] == f"workspaced/agent/{parts[4]}"
