"""What a chat daemon feels: dialing an agent beside a bare request to it, and asking for a workspace that is there."""

import json
import time

from figures import Figures, Times, say
from fleet import Fleet, Member, new_id
from nats.aio.msg import Msg
from sizes import Sizes
from stack import Stack

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.dial import ping_dialer


async def measure(stack: Stack, fleet: Fleet, sizes: Sizes) -> Figures:
    """A dial beside a bare request, and asking for a workspace that is ready; while all chats are ready."""
    dialed, bare, again, asked = [], [], [], 0
    for _ in range(sizes.rounds):
        one, other, requests = await dial(stack, fleet.members[0], sizes.dials)
        dialed.append(one)
        bare.append(other)
        asked += requests
        again.append(await create_again(stack, fleet.members[1], sizes.dials // 2))
    ours, least, ready = map(Times.of_seconds, (dialed, bare, again))
    say(f"  dial: {ours}, {asked} requests to the engine; a bare request: {least}")
    say(f"  create, of a workspace that is ready: {ready}")
    return {
        "dial.dialed": ours,
        "dial.bare": least,
        "dial.p50_over_bare": ours.p50.middle / least.p50.middle,
        "dial.engine_requests": asked,
        "create.ready": ready,
        "create.ready_p99_ms": ready.p99.middle,
    }


async def dial(stack: Stack, member: Member, count: int) -> tuple[list[float], list[float], int]:
    """Seconds of dialing anew, of a bare request to the agent in turn, and how often the engine was asked meanwhile."""
    client = WorkspacedClient(stack.admin)
    build = (await client.get(member.chat)).build_id
    answer = {"agent_id": member.agent, "build_id": build, "lifecycle": "ready", "at": member.at.isoformat()}
    body = json.dumps(answer).encode()

    async def pong(message: Msg) -> None:
        await message.respond(body)

    ping = f"ws.agent.{member.agent}.ping"
    subscription = await stack.admin.subscribe(ping, cb=pong)
    asked = 0

    async def count_request(_message: Msg) -> None:
        nonlocal asked
        asked += 1

    dialer = ping_dialer(client)
    with await dialer.dial(member.chat):
        dialer.drop(member.chat)
    watcher = await stack.admin.subscribe("ws.api.>", cb=count_request)
    dialed, bare = [], []
    for _ in range(count):
        began = time.perf_counter()
        with await dialer.dial(member.chat):
            dialed.append(time.perf_counter() - began)
        dialer.drop(member.chat)
        began = time.perf_counter()
        await stack.admin.request(ping, b"{}", timeout=5)
        bare.append(time.perf_counter() - began)
    await dialer.close()
    await watcher.unsubscribe()
    await subscription.unsubscribe()
    return dialed, bare, asked


async def create_again(stack: Stack, member: Member, count: int) -> list[float]:
    """Seconds of `create` for a chat whose workspace is ready, until the answer is there."""
    snapshot = json.loads((await stack.admin.request("ws.api.get", json.dumps({"chat_id": member.chat}).encode())).data)
    workspace = snapshot["workspace"]
    took = []
    for _ in range(count):
        body = {
            "chat_id": member.chat,
            "request_id": new_id(),
            "owner": {"id": workspace["owner_id"], "name": workspace["owner_name"]},
            "organization_id": workspace["organization_id"],
            "template_id": workspace["template_id"],
        }
        began = time.perf_counter()
        reply = await stack.admin.request("ws.api.create", json.dumps(body).encode(), timeout=10)
        took.append(time.perf_counter() - began)
        if b'"exists"' not in reply.data:
            raise RuntimeError(reply.data)
    return took
