"""What really goes over the wire in a chat's life is what the exported contract says."""

import json
import re
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from nats.aio.msg import Msg

from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack
from workspaced.app.contract.asyncapi import FIELD, document
from workspaced.bus import subjects

DOCUMENT = document()
ADDRESSES = {
    name: re.compile(FIELD.sub("[^.]+", channel["address"].replace(".", r"\.").replace("{subject}", ".+")))
    for name, channel in DOCUMENT["channels"].items()
    if channel["address"]
}


def check(name: str, part: str, value: object) -> None:
    """Hold a value against the schema of a message's `payload` or `headers`."""
    schema = DOCUMENT["components"]["messages"][name].get(part, {})
    whole = schema | {"components": DOCUMENT["components"]}
    jsonschema.validate(value, whole, cls=jsonschema.Draft202012Validator)


def name_of(subject: str) -> str:
    """The channel that a subject belongs to."""
    found = [name for name, form in ADDRESSES.items() if form.fullmatch(subject)]
    assert len(found) == 1, subject
    return str(found[0])


async def ask(stack: Stack, verb: str, **body: object) -> dict[str, Any]:
    """A request as any client makes it, and its answer, both held against the contract."""
    name = f"api-{verb.replace('.', '-')}"
    check(name, "payload", body)
    answer = await stack.admin.request(subjects.api(verb), json.dumps(body).encode(), timeout=30)
    reply: dict[str, Any] = json.loads(answer.data)
    failed = answer.headers is not None and "Nats-Service-Error-Code" in answer.headers
    check("error" if failed else f"{name}-reply", "payload", reply)
    if failed:
        check("error", "headers", dict(answer.headers or {}))
    return reply


@pytest.fixture
async def seen(stack: Stack) -> list[Msg]:
    """Everything that is said on `ws.`, as it comes."""
    found: list[Msg] = []

    async def note(message: Msg) -> None:
        found.append(message)

    await stack.admin.subscribe("ws.>", cb=note)
    return found


async def test_messages_are_those_of_the_contract(stack: Stack, seen: list[Msg]) -> None:
    """A chat is made, fails, is made again, gets ready, is stopped and deleted; every message passes its schema."""
    await stack.engine()
    chat = str(uuid4())
    command = {"chat_id": chat, "owner": {"id": stack.owner.id, "name": "ada"}, "organization_id": ORGANIZATION}
    await ask(stack, "create", **command, request_id="1", template_id=TEMPLATE)
    job = await stack.provisioner.job()
    await stack.provisioner.tell(job, "running", worker="tests")
    await stack.provisioner.tell(job, "failed", error="no disk", quota={"credits_consumed": 1, "budget": 2})
    await stack.pushes.until(chat, "failed")
    made = await ask(stack, "create", **command, request_id="2", template_id=TEMPLATE)
    await stack.provisioner.bring_up(await stack.provisioner.job(made["build_id"]))
    await stack.pushes.until(chat, "ready")
    await ask(stack, "create", **command, request_id="2", template_id=TEMPLATE)
    await ask(stack, "create", **command, request_id="2", template_id=str(uuid4()))
    await ask(stack, "attach", **command, request_id="3")
    await ask(stack, "get", chat_id=chat)
    await ask(stack, "get", chat_id=str(uuid4()))
    await ask(stack, "list")
    await ask(stack, "list", kind="workspaces")
    await ask(stack, "history", chat_id=chat, stale=True)
    await ask(stack, "logs", build_id=made["build_id"])
    await ask(stack, "templates.get", template_id=TEMPLATE)
    await ask(stack, "templates.list", page=1)
    await ask(stack, "settings.get")
    await stack.provisioner.tell(job | {"workspace": {"id": str(uuid4())}}, "running")  # nobody knows this workspace
    await ask(stack, "stop", chat_id=chat, request_id="4")
    await stack.provisioner.build(await stack.provisioner.job())
    await ask(stack, "touch", chat_id=chat, request_id="5")
    deleted = await ask(stack, "delete", chat_id=chat, request_id="6")
    await stack.provisioner.build(await stack.provisioner.job(deleted["build_id"]))
    await stack.decided()
    await ask(stack, "dead")

    met = set()
    for message in list(seen):
        name = name_of(message.subject)
        met.add(name)
        if name in {"dead", "agents", "sys"}:  # any bytes, or the server's own
            continue
        check(name, "payload", json.loads(message.data))
        check(name, "headers", dict(message.headers or {}))
    assert met >= {"api-create", "cmd-create", "chat", "job", "event-job", "event-agent-connected", "timer", "dead"}
