"""Whatever comes, decoders raise the documented errors and nothing else. `make fuzz FUZZ=100000` tries longer."""

import base64
import contextlib
import io
import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.msg import Msg

from tests.wire.mangled import NOISE, mangled
from workspaced.app import cli
from workspaced.app.contract.asyncapi import document
from workspaced.app.contract.compare import breaks
from workspaced.app.contract.examples import body_types, examples
from workspaced.app.contract.schemas import alternatives
from workspaced.app.variables import VARIABLES
from workspaced.bus import subjects
from workspaced.bus.auth_jwt import read_login
from workspaced.bus.codec import decode as plainly
from workspaced.bus.codec import decode_event, decode_request, decode_template
from workspaced.bus.decode import decode, server_that_connected
from workspaced.bus.faults import error_in
from workspaced.bus.publish import Message, _refusal
from workspaced.bus.stored import Stored
from workspaced.bus.subject_parser import parse
from workspaced.bus.until_stored import _fault
from workspaced.fsm.durations import parse_duration
from workspaced.fsm.errors import BadRequest, UndecodableMessage
from workspaced.fsm.settings import settings_from
from workspaced.provisioners.local.source import Source

TRIES = int(os.environ.get("FUZZ", "150"))
tried = settings(max_examples=TRIES)
AT = datetime(2026, 11, 25, tzinfo=UTC)
KINDS = body_types()
GOLDENS = [(name.partition(":")[0], golden) for name, golden in examples().items()]
FED = [(name, golden) for name, golden in GOLDENS if name.startswith(("cmd", "event", "due", "sys"))]
"""Messages that an engine takes from a stream."""

seeds = st.integers(0, 2**64)
texts = st.text(max_size=200)
tokens = st.one_of(texts, st.sampled_from(["ws", "cmd", "event", "job", "agent", "*", ">", "", "\x00", "running"]))
SAFE = ("schema", "diagram", "version", "conformance")
"""Commands that need no stack."""
HARMLESS = (*SAFE, "ps", "show", "create", "start", "attach", "history", "watch", "dial", "logs", "templates", "dead")
"""Commands that find no stack, and say so."""


def stored(subject: str, body: bytes, headers: dict[str, str]) -> Stored:
    """As a consumer delivers it."""
    return Stored(subject, body, headers, "EVENTS", 7, AT)


@tried
@given(seeds, st.dictionaries(st.sampled_from(["Nats-Msg-Id", "Ws-Reply", "traceparent"]), texts))
def test_streams(seed: int, headers: dict[str, str]) -> None:
    """Golden messages that were mangled, on their own and on each other's subjects."""
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    name, golden = dice.choice(FED)
    _, other = dice.choice(FED)
    subject = (golden if dice.random() < 0.8 else other)["subject"]
    message = stored(subject, mangled(golden["body"], dice), headers)

    with contextlib.suppress(UndecodableMessage):
        found = decode(message)
        assert found is None or found.id, name
    server_that_connected(message)


@tried
@given(st.lists(tokens, max_size=8), st.binary(max_size=64))
def test_subjects(parts: list[str], body: bytes) -> None:
    """Any tokens at all; what cannot be parsed can still be put aside."""
    subject = ".".join(parts)

    with contextlib.suppress(UndecodableMessage):
        parse(subject)
    with contextlib.suppress(UndecodableMessage):
        decode(stored(subject, body, {}))
    assert not set(subjects.dead(subject)) & set(" *>\x00\r\n\t")


@tried
@given(seeds)
def test_requests_and_answers(seed: int) -> None:
    """Bodies of requests end in BadRequest, those of events and answers in UndecodableMessage."""
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    name, golden = dice.choice(GOLDENS)
    body = mangled(golden["body"], dice)
    for kind in alternatives(KINDS[name]):
        with contextlib.suppress(BadRequest):
            decode_request(body, kind)
        with contextlib.suppress(UndecodableMessage):
            decode_event(body, kind)
        try:
            plainly(body, kind)
        except ValueError as error:
            assert str(error).isprintable()  # noqa: PT017  # there need be none
            assert len(str(error)) <= 200  # noqa: PT017  # the same
    if error_in(Msg(_client=None, data=body, headers={"Nats-Service-Error-Code": "4\u00b2"})) is None:  # type: ignore[arg-type]  # nobody answers
        raise AssertionError(body)


@tried
@given(st.binary(max_size=64), seeds)
def test_answers_of_streams(body: bytes, seed: int) -> None:
    """And what the server asks the callout; a word that nobody understands is none."""
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    for answer in (body, mangled({"stream": "EVENTS", "seq": 1, "error": {"code": 400, "description": "x"}}, dice)):
        _fault(answer)
        _refusal(Message("ws.x", b""), Msg(_client=None, data=answer + b'"error"'))  # type: ignore[arg-type]  # nobody answers
    asked = {"user_nkey": "U", "server_id": {"id": "N"}, "client_info": {"id": 1}, "connect_opts": {"user": "a"}}
    for token in (body, b"a." + base64.urlsafe_b64encode(mangled({"nats": asked}, dice)) + b".c", b"a." + body + b".c"):
        with contextlib.suppress(ValueError):
            read_login(token)


@tried
@given(seeds)
def test_templates(seed: int) -> None:
    """A template's faults are its author's to mend."""
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    body = mangled(examples()["api-templates-put"]["body"], dice)
    with contextlib.suppress(BadRequest):
        decode_template(body, "0b7f2a34-5c1d-4e8f-9a60-1d2c3b4a5e6f")
    source = {"startup_script": "true", "environment": {"A": "b"}, "agents": ["main"], "build_delay": "1s"}
    with contextlib.suppress(UndecodableMessage):
        decode_event(mangled(source, dice), Source)


@tried
@given(
    st.sampled_from(sorted(VARIABLES)), st.one_of(texts, st.from_regex(r"-?[0-9]{1,30}(ms|s|m|h|d)?", fullmatch=True))
)
def test_settings(name: str, text: str) -> None:
    """A value is taken, or refused with its reason."""
    with contextlib.suppress(ValueError, BadRequest):
        VARIABLES[name].parse(text)
    with contextlib.suppress(ValueError):
        parse_duration(text)
    with contextlib.suppress(BadRequest, ValueError):
        settings_from({name: text})


@tried
@given(seeds)
def test_older_contracts(seed: int) -> None:
    """A document that is none of ours is compared, or is none."""
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError, AttributeError):
        breaks(json.loads(mangled(document("agent"), dice)), document("agent"))


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without a stack."""
    return tmp_path_factory.mktemp("nowhere")


@settings(max_examples=max(TRIES // 5, 20))
@given(
    st.sampled_from(HARMLESS),
    st.lists(st.one_of(texts, st.sampled_from(["--json", "--limit", "-p", "--"])), max_size=4),
)
def test_command_line(nowhere: Path, command: str, arguments: list[str]) -> None:
    """An exit code of the table, one line for what is wrong, never a traceback."""
    told, said = io.StringIO(), io.StringIO()
    arguments = [word for word in arguments if "\x00" not in word]
    with (
        contextlib.redirect_stderr(told),
        contextlib.redirect_stdout(said),
        CliRunner().isolation(env={"WORKSPACED_DIR": str(nowhere), "NATS_URL": None, "DATABASE_URL": None}),
    ):
        code = cli.run([command, *arguments])

    assert code in {0, 1, 2, 3, 4, 5, 6}
    assert "Traceback" not in told.getvalue()
    assert "(internal)" not in told.getvalue()


def test_noise_is_no_message() -> None:
    """None of it is taken for a golden message."""
    kinds: list[Any] = [kind for body in KINDS.values() for kind in alternatives(body)]
    taken = [noise for noise in NOISE for kind in kinds if kind.__struct_fields__ and _taken(noise, kind)]

    assert set(taken) <= {b"", b'{"a":1,"a":2}'}


def _taken(body: bytes, kind: Any) -> bool:  # noqa: ANN401  # a struct
    try:
        decode_event(body, kind)
    except UndecodableMessage:
        return False
    return True
