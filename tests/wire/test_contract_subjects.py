"""Every subject that the code builds, parses or serves stands in docs/contract/asyncapi.json, and no other."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from workspaced.app.contract.asyncapi import FIELD
from workspaced.app.tenants import TenantLooks
from workspaced.bus import streams, subjects, tokens
from workspaced.bus.subject_parser import FORMS, DeadSubject, parse
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import BadRequest, UndecodableMessage
from workspaced.store.memory import MemoryStore

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "contract" / "asyncapi.json").read_bytes())
CHANNELS: list[dict[str, Any]] = [channel for channel in DOCUMENT["channels"].values() if channel["address"]]
ADDRESSES: list[str] = [channel["address"] for channel in CHANNELS]
SOME_ID = "0b7f2a34-5c1d-4e8f-9a60-1d2c3b4a5e6f"
CANDIDATES: dict[str, tuple[str | None, ...]] = {
    "verb": tuple({*tokens.API_VERBS, *COMMANDS}),
    "status": tuple(tokens.JOB_STATUSES),
    "state": tuple(tokens.STATES),
    "kind": (*tokens.TIMER_KINDS, *tokens.AGENT_KINDS),
    "provisioner": ("local",),
    "server_id": ("NSERVER",),
    "subject": (f"ws.chat.{SOME_ID}.ready",),
}
"""What a builder's argument may be; an id when nothing is said here."""
FOR_TENANTS = {*COMMANDS, *TenantLooks(MemoryStore(), {}).handlers()}
WORDS = {"state": "ready", "status": "running", "provisioner": "local", "kind": "chat", "advisory": "connect"}
ONLY_SAID = ("ws.timer.", "ws.revoke.", "ws.agents", "ws.kick.", "ws.org.", "ws.api.")
"""Nobody of ours gets them by their subject alone."""


def told(subject: str) -> list[str]:
    """The addresses that a subject belongs to."""
    return [address for address in ADDRESSES if pattern(address).fullmatch(subject)]


def pattern(address: str) -> re.Pattern[str]:
    """As a regular expression."""
    fields = {"{subject}": ".+"}
    return re.compile(
        r"\.".join(
            fields.get(token, "[^.]+") if FIELD.fullmatch(token) else re.escape(token) for token in address.split(".")
        )
    )


def builders() -> dict[str, Callable[..., str]]:
    """All of bus/subjects.py."""
    functions = inspect.getmembers(subjects, inspect.isfunction)
    return {name: of for name, of in functions if not name.startswith("_") and of.__module__ == subjects.__name__}


def built() -> Iterator[str]:
    """Every subject that they build, of one id; not those that only stand in a subscription."""
    for build in builders().values():
        parameters = inspect.signature(build).parameters.values()
        optional = [(None,) if each.default is None else () for each in parameters]
        known = [CANDIDATES.get(each.name, (SOME_ID,)) for each in parameters]
        for values in product(*(some + none for some, none in zip(known, optional, strict=True))):
            with suppress(BadRequest):  # a word of another subject
                subject = build(*values)
                if subject.startswith("ws.") and not set(subject) & {"*", ">"}:
                    yield subject


def is_served(subject: str) -> bool:
    """Not every verb is for who is limited to an organization."""
    organization, _, verb = subject.partition(".api.")
    return not organization.startswith("ws.org.") or not verb or verb in FOR_TENANTS


BUILT = {each for each in built() if is_served(each)} | {subjects.CONNECT_ADVISORY, subjects.AGENTS_CONNECTED}


def test_every_subject_that_is_built() -> None:
    """Whatever the builders make of any words has one address; so does the server's advisory."""
    assert {subject for subject in BUILT if len(told(subject)) != 1} == set()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_that_is_parsed(form: str) -> None:
    """Some address has the same words, or a field in their places."""
    parts = form.split(".")
    fitting = [
        address
        for address in ADDRESSES
        if len(address.split(".")) == len(parts)
        and all(
            part in {"*", token} or (part == "*" and FIELD.fullmatch(token))
            for part, token in zip(parts, address.split("."), strict=True)
        )
    ]

    assert fitting != []


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_is_invented(address: str) -> None:
    """Each is built by somebody, or is the server's own; and parsed where somebody of ours gets it."""
    subject = FIELD.sub(lambda field: WORDS.get(field[1], SOME_ID), address)

    assert any(pattern(address).fullmatch(each) for each in BUILT)
    if not subject.startswith(ONLY_SAID):
        parse(subject)


def test_requests_are_those_that_are_served() -> None:
    """No verb is left out, none invented; not all of them are for who is limited to an organization."""
    of_tenants = {address for address in ADDRESSES if address.startswith("ws.org.{organization_id}.api.")}

    assert {address for address in ADDRESSES if address.startswith("ws.api.")} == {
        subjects.api(verb) for verb in tokens.API_VERBS
    }
    assert of_tenants == {f"ws.org.{{organization_id}}.api.{verb}" for verb in FOR_TENANTS}


def test_streams_are_those_that_keep_them() -> None:
    """Each address stands in the contract with the stream that has its subject."""
    assert {channel["address"]: channel["x-stream"] for channel in CHANNELS} == {
        address: streams.stream_of(address) for address in ADDRESSES
    }


def test_dead_letters_are_parsed() -> None:
    """Whatever subject they had."""
    assert parse(subjects.dead("ws.no.such")) == DeadSubject("ws.no.such")
    with pytest.raises(UndecodableMessage):
        parse("ws.no.such")
