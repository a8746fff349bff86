"""Bad requests are refused by name, bad messages are put aside with the reason, and nothing stops for either."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.provisioner import an_agent
from tests.e2e.stack import LIMIT, TEMPLATE, Stack

Refusal = tuple[int, str, str | None]
"""Status, code, field."""


async def refusal(stack: Stack, verb: str, body: bytes) -> Refusal:
    """How the API refuses a body."""
    answer = await stack.admin.request(f"ws.api.{verb}", body, timeout=LIMIT)
    assert answer.headers
    said = json.loads(answer.data)
    assert answer.headers["Nats-Service-Error"] == said["error"]
    return int(answer.headers["Nats-Service-Error-Code"]), said["code"], said.get("field")


BODIES: dict[str, tuple[str, Any, Refusal]] = {
    "no JSON": ("create", b"{", (400, "bad_request", None)),
    "no object": ("create", [], (400, "bad_request", None)),
    "nothing": ("get", b"", (400, "bad_request", "chat_id")),
    "no chat": ("create", {"chat_id": None}, (400, "bad_request", "chat_id")),
    "a wildcard": ("create", {"chat_id": "*"}, (400, "bad_request", "chat_id")),
    "a subject": ("stop", {"chat_id": "a.b", "request_id": "r"}, (400, "bad_request", "chat_id")),
    "upper case": ("create", {"chat_id": str(uuid4()).upper()}, (400, "bad_request", "chat_id")),
    "a space": ("create", {"request_id": "two words"}, (400, "bad_request", "request_id")),
    "a long request_id": ("create", {"request_id": "r" * 129}, (400, "bad_request", "request_id")),
    "no owner": ("create", {"owner": {}}, (400, "bad_request", "owner.id")),
    "an owner's name": ("create", {"owner": {"id": str(uuid4()), "name": "a b"}}, (400, "bad_request", "owner.name")),
    "a number": ("create", {"parameters": {"cpu": 4}}, (400, "bad_request", "parameters.cpu")),
    "a NUL": ("create", {"name": "a\0b"}, (400, "bad_request", "name")),
    "no template": ("create", {"template_id": " "}, (400, "invalid_template_id", "template_id")),
    "no id of a template": ("create", {"template_id": "plain"}, (400, "invalid_template_id", "template_id")),
    "an unknown template": ("create", {"template_id": str(uuid4())}, (404, "template_not_found", "template_id")),
    "an unknown parameter": ("create", {"parameters": {"cpu": "4"}}, (400, "invalid_parameters", None)),
    "too large": ("create", {"name": "a" * 262_144}, (400, "too_large", None)),
    "an unknown chat": ("get", {"chat_id": str(uuid4())}, (404, "chat_not_found", None)),
    "its history": ("history", {"chat_id": str(uuid4())}, (404, "chat_not_found", None)),
    "an odd page": ("list", {"limit": 0}, (400, "bad_request", "limit")),
    "an unknown state": ("list", {"state": "asleep"}, (400, "bad_request", "state")),
    "an unknown setting": ("settings.put", {"settings": {"x": "1s"}}, (400, "invalid_setting", "x")),
}


async def test_bodies(stack: Stack) -> None:
    """Each is refused with its status, a stable word and the field; no chat, no command, no dead letter comes of it."""
    await stack.engine()
    found = {}
    for name, (verb, body, _) in BODIES.items():
        if isinstance(body, dict):
            whole = stack.a_create(str(uuid4())) if verb == "create" else {}
            sent = json.dumps(whole | body).encode()
        else:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        found[name] = await refusal(stack, verb, sent)

    assert found == {name: expected for name, (_, _, expected) in BODIES.items()}
    assert await stack.sql("select from workspaced.chats") == []
    assert await stack.stored("DEAD") == []


async def test_an_unknown_verb(stack: Stack) -> None:
    """Nobody answers, at once."""
    await stack.engine()

    with pytest.raises(Exception, match="no responders"):
        await stack.admin.request("ws.api.explode", b"{}", timeout=LIMIT)


async def test_dead_letters(stack: Stack) -> None:
    """What nobody can use goes to DEAD with the reason, its body unchanged; what stands beside it is done."""
    await stack.engine()
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    workspace, stranger = job["workspace"]["id"], str(uuid4())
    ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    bad: list[tuple[str, bytes, str]] = [
        (f"ws.event.{workspace}.job.running", b"{", "not_json"),
        (f"ws.event.{workspace}.job.running", b"\xff\x00", "not_json"),
        (f"ws.event.{workspace}.job.running", b"{}", "bad_body"),
        (f"ws.event.{workspace}.job.failed", json.dumps(ids | {"error": "a\0b"}).encode(), "bad_body"),
        (f"ws.event.{workspace}.job.exploded", json.dumps(ids).encode(), "unknown_kind"),
        (f"ws.event.{workspace}.nothing", b"{}", "unknown_kind"),
        ("ws.event.me.job.running", json.dumps(ids).encode(), "bad_subject"),
        (f"ws.event.{stranger}.job.running", json.dumps(ids).encode(), "unknown_workspace"),
        (f"ws.event.{workspace}.job.running", json.dumps(ids | {"job_id": stranger}).encode(), "mismatch"),
        (f"ws.cmd.{stranger}.create", b"[]", "bad_body"),
        (f"ws.cmd.{stranger}.stop", json.dumps({"chat_id": chat, "request_id": "r"}).encode(), "bad_body"),
    ]
    stream = stack.admin.jetstream()

    await stack.provisioner.tell(job, "running")
    for subject, body, _ in bad:
        await stream.publish(subject, body)
    await stack.provisioner.bring_up(job)
    ready = await stack.pushes.until(chat, "ready")
    await stack.decided()

    dead = [(kept.subject, kept.body, kept.headers["Ws-Dead-Reason"]) for kept in await stack.stored("DEAD")]
    assert sorted(dead) == sorted((f"ws.dead.{subject}", body, reason) for subject, body, reason in bad)
    assert ready["version"] == 7
    shown = [(entry.subject, entry.reason) for entry in (await stack.client.dead()).messages]
    assert sorted(shown) == sorted((subject, reason) for subject, _, reason in bad)
    info = await stream.consumer_info("EVENTS", "engine")
    assert (info.num_ack_pending, info.num_redelivered) == (0, 0)


async def test_what_only_the_store_refuses(stack: Stack) -> None:
    """An agent id that another build has is found by halving, put aside alone, and the rest of the batch is done."""
    engine = await stack.engine()
    chats = [str(uuid4()) for _ in range(4)]
    jobs = [await stack.provisioner.job((await stack.create(chat)).build_id) for chat in chats]
    agent = await stack.provisioner.build(jobs[0])
    await stack.pushes.until(chats[0], "connecting")
    await stack.stop(engine)

    await stack.provisioner.build(jobs[1])
    await stack.provisioner.tell(jobs[2], "succeeded", agents=[an_agent(agent.id)])
    await stack.provisioner.build(jobs[3])
    await stack.engine()  # which takes them all at once
    await stack.pushes.until(chats[3], "connecting")
    await stack.decided()

    (dead,) = await stack.stored("DEAD")
    assert dead.subject == f"ws.dead.ws.event.{jobs[2]['workspace']['id']}.job.succeeded"
    assert dead.headers["Ws-Dead-Reason"] == "refused_by_store"
    states = [(await stack.client.get(chat)).state for chat in chats]
    assert states == ["connecting", "connecting", "creating", "connecting"]


async def test_a_command_beside_the_api(stack: Stack) -> None:
    """A command that is refused after it was stored makes no row and may be asked again, rightly, under its name."""
    await stack.engine()
    chat = str(uuid4())

    first = await refusal(
        stack, "create", json.dumps(stack.a_create(chat, request_id="r", name="a", template_id=str(uuid4()))).encode()
    )
    second = await stack.create(chat, request_id="r", template_id=TEMPLATE)

    assert first[:2] == (404, "template_not_found")
    assert second.outcome == "accepted"
