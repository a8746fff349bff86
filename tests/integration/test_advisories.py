"""The server tells who comes and goes; nobody sends heartbeats."""

import json
from typing import Any

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from tests.servers import Connections


async def advisory(pull: JetStreamContext.PullSubscription, user: str) -> tuple[str, dict[str, Any]]:
    """The next advisory about `user`: its subject and its body."""
    while True:
        (message,) = await pull.fetch(1, timeout=30)
        body = json.loads(message.data)
        if body["client"]["user"] == user:
            return message.subject, body


async def events_of(admin: Client) -> JetStreamContext.PullSubscription:
    """A reader of a stream EVENTS that holds the advisories."""
    jetstream = admin.jetstream()
    await jetstream.add_stream(StreamConfig(name="EVENTS", subjects=["ws.sys.connect", "ws.sys.disconnect"]))
    return await jetstream.pull_subscribe("ws.sys.>", durable="reader", stream="EVENTS")


async def test_coming_and_going_reach_the_stream(connect: Connections) -> None:
    """Connect and disconnect are stored, under the authenticated user and with the same connection."""
    pull = await events_of(await connect("admin"))
    agent = await connect("agent", name="a name can lie")
    client_id = agent.client_id
    came, coming = await advisory(pull, "agent")
    await agent.close()
    left, leaving = await advisory(pull, "agent")

    assert (came, left) == ("ws.sys.connect", "ws.sys.disconnect")
    assert coming["client"]["id"] == leaving["client"]["id"] == client_id
    assert coming["server"]["id"] == leaving["server"]["id"]


async def test_the_callout_ends_a_connection(connect: Connections) -> None:
    """A kick by the callout drops the link, and the advisory says why."""
    pull = await events_of(await connect("admin"))
    callout, agent = await connect("callout"), await connect("agent")
    _, coming = await advisory(pull, "agent")
    # A request: the server does nothing on a kick without a reply subject.
    kick = json.dumps({"cid": agent.client_id}).encode()
    await callout.request(f"ws.kick.{coming['server']['id']}", kick, timeout=30)
    left, leaving = await advisory(pull, "agent")

    assert (left, leaving["reason"]) == ("ws.sys.disconnect", "Kicked")


async def test_the_engine_asks_who_is_there(connect: Connections) -> None:
    """The list of connections has every agent under the authenticated name."""
    engine, agent = await connect("engine"), await connect("agent")
    reply = await engine.request("ws.agents", b'{"auth":true}', timeout=30)
    connections = {one["cid"]: one["authorized_user"] for one in json.loads(reply.data)["data"]["connections"]}

    assert connections[agent.client_id] == "agent"


async def test_an_agent_learns_its_server(connect: Connections) -> None:
    """An agent names its connection in its reports: the server's id comes with the answer about itself."""
    agent = await connect("agent")
    reply = json.loads((await agent.request("$SYS.REQ.USER.INFO", b"", timeout=30)).data)

    assert (reply["data"]["user"], bool(reply["server"]["id"])) == ("agent", True)
