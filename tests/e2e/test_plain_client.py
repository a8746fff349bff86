"""Everything by a client that knows only the subjects and JSON: nats-py and json, nothing of this project."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import nats
import pytest
from nats.aio.client import Client

from tests.e2e.stack import ORGANIZATION, TEMPLATE, Stack

LIMIT = 30.0
"""Seconds; a safety net."""

Body = dict[str, Any]


@pytest.fixture
async def logins(stack: Stack) -> dict[str, Body]:
    """By role what `connection.json` has; an engine runs."""
    await stack.engine()
    await stack.provisioner.connection.close()  # the test is the provisioner
    return {
        role: {
            "servers": stack.server.url,
            "user": who.user,
            "password": who.password,
            "inbox_prefix": who.inbox_prefix.encode(),
        }
        for role, who in stack.server.roles.items()
    }


def stamp() -> Body:
    """What every event has."""
    return {"id": str(uuid4()), "at": datetime.now(UTC).isoformat()}


async def ask(connection: Client, verb: str, body: Body) -> Body:
    """One request to the API."""
    answer = await connection.request(f"ws.api.{verb}", json.dumps(body).encode(), timeout=LIMIT)
    assert "Nats-Service-Error-Code" not in (answer.headers or {}), answer.data
    reply: Body = json.loads(answer.data)
    return reply


async def store(connection: Client, subject: str, body: Body) -> None:
    """Publish to a stream and have its word that it is kept."""
    await connection.jetstream().publish(subject, json.dumps(stamp() | body).encode())


async def play_provisioner(connection: Client, agent_id: str) -> Body:
    """Take one job, log a line, report that it is done."""
    inbox = connection.new_inbox()
    deliveries = await connection.subscribe(inbox)
    wish = json.dumps({"batch": 1, "expires": 30_000_000_000}).encode()
    await connection.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.local", wish, reply=inbox)
    delivery = await deliveries.next_msg(LIMIT)
    job: Body = json.loads(delivery.data)
    workspace = job["workspace"]["id"]
    about = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    await store(connection, f"ws.event.{workspace}.job.running", about | {"worker": "a script", "attempt": 1})
    log = f"ws.log.{workspace}.{job['build_id']}"
    await store(connection, log, {"stage": "plan", "level": "info", "output": "one machine", "seq": 1})
    await store(connection, log, {"end": True, "seq": 2})
    agents = [{"id": agent_id, "name": "main"}] if job["transition"] == "start" else []
    await store(connection, f"ws.event.{workspace}.job.succeeded", about | {"agents": agents})
    await delivery.ack()
    return job


async def play_agent(connection: Client, job: Body, agent_id: str) -> None:
    """Call home and run the startup scripts."""
    me = json.loads((await connection.request("$SYS.REQ.USER.INFO", b"", timeout=LIMIT)).data)
    about = {"build_id": job["build_id"], "server_id": me["server"]["id"], "client_id": connection.client_id}
    subject = f"ws.event.{job['workspace']['id']}.agent.{agent_id}"
    await store(connection, f"{subject}.connected", about)
    for state in ("starting", "ready"):
        await store(connection, f"{subject}.lifecycle", about | {"state": state})


async def test_everything_with_subjects_and_json(logins: dict[str, Body]) -> None:
    """Create, build, call home, watch, look, stop: a program in any language could do it."""
    daemon = await nats.connect(**logins["chatd"])
    provisioner = await nats.connect(**logins["provisioner"])
    agent = await nats.connect(**logins["agent"])
    chat, owner, agent_id = str(uuid4()), str(uuid4()), str(uuid4())
    pushes = await daemon.subscribe(f"ws.chat.{chat}.>")
    heard: list[Body] = []

    async def hear(state: str) -> Body:
        while not heard or heard[-1]["to"] != state:
            heard.append(json.loads((await pushes.next_msg(LIMIT)).data))
        return heard[-1]

    created = await ask(
        daemon,
        "create",
        {
            "chat_id": chat,
            "request_id": "call-1",
            "owner": {"id": owner, "name": "ada"},
            "organization_id": ORGANIZATION,
            "template_id": TEMPLATE,
            "name": "my-own",
        },
    )
    job = await play_provisioner(provisioner, agent_id)
    await play_agent(agent, job, agent_id)
    ready = await hear("ready")
    got = await ask(daemon, "get", {"chat_id": chat})
    listed = await ask(daemon, "list", {"kind": "workspaces", "owner_id": owner})
    history = await ask(daemon, "history", {"chat_id": chat})
    logs = await ask(daemon, "logs", {"build_id": job["build_id"]})
    stopped = await ask(daemon, "stop", {"chat_id": chat, "request_id": "call-2"})
    await play_provisioner(provisioner, agent_id)
    await hear("idle")

    assert created["outcome"] == "accepted"
    assert created["build_id"] == job["build_id"]
    assert ready["snapshot"] | {"typical": None} == got
    assert (got["state"], got["agent_id"], got["workspace"]["name"]) == ("ready", agent_id, "my-own")
    assert listed["workspaces"][0]["chats"] == [chat]
    assert [row["version"] for row in history["transitions"]] == [push["version"] for push in heard[:-1]]
    assert [(line["seq"], line["output"]) for line in logs["lines"]] == [(1, "one machine")]
    assert logs["ended"]
    assert stopped["outcome"] == "accepted"
    await asyncio.gather(daemon.close(), provisioner.close(), agent.close())


async def test_the_service_is_found(logins: dict[str, Body]) -> None:
    """Any NATS tool finds the service and its endpoints."""
    inspector = await nats.connect(**logins["inspector"])

    info = json.loads((await inspector.request("$SRV.INFO.workspaced", b"", timeout=LIMIT)).data)
    await inspector.close()

    endpoints = {endpoint["name"]: endpoint["subject"] for endpoint in info["endpoints"]}
    assert endpoints["create"] == "ws.api.create"
    assert endpoints["templates-put"] == "ws.api.templates.put"
