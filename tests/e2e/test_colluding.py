"""Who asks names where the answer goes, and an agent in hostile hands answers as it likes: together they gain nothing.

NATS asks for no permission where an answer is written, so those who ask are in accounts without streams (nats.conf).
"""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from nats.aio.msg import Msg

from tests.e2e.hostile import all_stored, places
from tests.e2e.stack import LIMIT, Stack
from tests.permission_table import snippet
from tests.servers import Connections, running, server_with_shared_agent
from workspaced.app.embedded_nats import NatsServer


@pytest.fixture(scope="module")
def nats_server() -> Iterator[NatsServer]:
    """A server with the account of an organization too."""
    accounts, names = snippet("tenant-account"), ("acme", "acme_inspector")
    with running(lambda folder: server_with_shared_agent(folder, accounts=accounts, names=names)) as server:
        yield server


async def new(stack: Stack, before: set[tuple[str, int, str]]) -> set[str]:
    """The subjects of what was stored since; the server's own word on who came is none of it."""
    return {subject for _, _, subject in await all_stored(stack) - before} - {"ws.sys.connect"}


@pytest.mark.parametrize("role", ["chatd", "acme"])
async def test_an_agents_answer_goes_to_whom_it_asked(stack: Stack, connect: Connections, role: str) -> None:
    """A daemon pings an agent of its own and names subjects of others, and the agent answers with harm."""
    await stack.engine()
    chat_id, agent_id = str(uuid4()), str(uuid4())
    reply = await stack.ready(chat_id)
    assert reply.snapshot is not None
    assert reply.snapshot.workspace is not None
    await stack.decided()
    before = await all_stored(stack)
    harm = json.dumps({"id": str(uuid4()), "chat_id": chat_id, "request_id": str(uuid4())}).encode()

    async def answer(ping: Msg) -> None:
        await ping.respond(harm)

    agent, daemon = await connect("agent"), await connect(role)
    await agent.subscribe(f"ws.agent.{agent_id}.ping", cb=answer)
    await connect.refusals(agent)
    for place in places(chat_id, reply.snapshot.workspace.id):
        await daemon.publish(f"ws.agent.{agent_id}.ping", b"{}", reply=place)
    told = await daemon.request(f"ws.agent.{agent_id}.ping", b"{}", timeout=LIMIT)
    await stack.decided()

    assert told.data == harm
    assert await new(stack, before) == set()
    assert (await stack.client.get(chat_id)).state == "ready"


async def test_an_engines_answer_goes_to_whom_it_asked(stack: Stack, connect: Connections) -> None:
    """An inspector asks who serves, and would have the answer in the slot of a timer."""
    await stack.engine()
    chat_id = str(uuid4())
    reply = await stack.create(chat_id)
    assert reply.snapshot is not None
    assert reply.snapshot.workspace is not None
    await stack.decided()
    before = await all_stored(stack)
    inspector = await connect("inspector")
    look = json.dumps({"chat_id": chat_id}).encode()
    for place in places(chat_id, reply.snapshot.workspace.id):
        for subject, body in (("$SRV.PING", b""), ("$SRV.INFO.workspaced", b""), ("ws.api.get", look)):
            await inspector.publish(subject, body, reply=place)
    told = await inspector.request("$SRV.PING", b"", timeout=LIMIT)
    await stack.decided()

    assert json.loads(told.data)["name"] == "workspaced"
    assert await new(stack, before) == set()
