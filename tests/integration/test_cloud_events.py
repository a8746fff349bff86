"""What our clients report says in headers who says what: CloudEvents, as the contract has them."""

import json
from typing import Any

import jsonschema
import pytest
from nats.aio.msg import Msg

from tests.jobs import Engine, a_job, new_id
from tests.servers import Connections
from workspaced.app.contract.asyncapi import document
from workspaced.bus.agent_client import AgentClient
from workspaced.bus.connection import flush
from workspaced.bus.job_in_hand import JobInHand
from workspaced.bus.provisioner_client import ProvisionerClient
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport

Said = dict[str, dict[str, Any]]


@pytest.fixture
async def engine(connect: Connections) -> Engine:
    """Streams and ears."""
    engine = Engine(connect)
    await engine.start()
    return engine


@pytest.fixture
async def said(engine: Engine) -> Said:
    """The headers of each report by its type, once they were held against its body."""
    found: Said = {}

    async def note(message: Msg) -> None:
        headers, body = dict(message.headers or {}), json.loads(message.data)
        assert (headers["ce-id"], headers["Nats-Msg-Id"], headers["ce-time"]) == (body["id"], body["id"], body["at"])
        found[headers["ce-type"]] = headers

    await engine.nc.subscribe("ws.event.>", cb=note)
    return found


def untold(message: str, headers: dict[str, Any]) -> set[str]:
    """What the contract does not have; all it has must fit."""
    told = document()["components"]["messages"][message]["headers"]
    jsonschema.validate(headers, told, cls=jsonschema.Draft202012Validator)
    return set(headers) - set(told["properties"]) - {"Nats-Request-Info"}  # the server's, of what crosses accounts


async def test_a_provisioner(engine: Engine, said: Said, connect: Connections) -> None:
    """Its reports, and a build that it announces."""
    client = ProvisionerClient(await connect("provisioner"), "local")

    async def handle(_: Job, __: JobInHand) -> tuple[AgentReport, ...]:
        await client.build_created(new_id(), new_id(), 4, "stop", new_id())
        await client.drain()
        return ()

    await engine.send(a_job())
    await client.run(handle)
    await flush(engine.nc)

    assert {kind: headers["ce-source"] for kind, headers in said.items()} == dict.fromkeys(
        ("workspaced.event.job.running", "workspaced.event.build.created"), "workspaced/provisioner/local"
    )
    assert untold("event-job", said["workspaced.event.job.running"]) == set()
    assert untold("event-build-created", said["workspaced.event.build.created"]) == set()


async def test_an_agent(engine: Engine, said: Said) -> None:
    """All that it tells of itself; one told again has the time it first had."""
    agent_id, login = new_id(), engine.login("agent")
    agent = AgentClient(new_id(), agent_id, new_id())
    await agent.connect(login.url, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix.encode())
    agent.lifecycle("ready")
    await agent.close()
    await flush(engine.nc)

    assert {kind: headers["ce-source"] for kind, headers in said.items()} == dict.fromkeys(
        (f"workspaced.event.agent.{kind}" for kind in ("connected", "lifecycle", "disconnected")),
        f"workspaced/agent/{agent_id}",
    )
    assert untold("event-agent-lifecycle", said["workspaced.event.agent.lifecycle"]) == set()
