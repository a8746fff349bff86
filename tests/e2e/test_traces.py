"""A request's trace (W3C Trace Context) is found again on all that comes of it."""

import json
from uuid import uuid4

from nats.aio.msg import Msg

from tests.e2e.stack import Stack
from workspaced.bus.trace import TRACEPARENT

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


async def said(stack: Stack) -> list[Msg]:
    """Jobs and pushes, as they come."""
    found: list[Msg] = []

    async def note(message: Msg) -> None:
        found.append(message)

    await stack.admin.subscribe("ws.job.>", cb=note)
    await stack.admin.subscribe("ws.chat.>", cb=note)
    await stack.admin.flush()
    return found


def traces(messages: list[Msg]) -> list[tuple[str, str | None]]:
    """The kind or state of each, and its trace."""
    last = [(message, message.subject.split(".")) for message in messages]
    return [
        ("job" if tokens[1] == "job" else tokens[-1], (message.headers or {}).get("traceparent"))
        for message, tokens in last
    ]


async def test_a_trace_goes_from_the_request_to_job_and_push(stack: Stack) -> None:
    """By the client, which takes it from its task; a report's trace is on the pushes that the report brings about."""
    await stack.engine()
    found = await said(stack)
    chat = str(uuid4())
    TRACEPARENT.set(TRACE)
    reply = await stack.create(chat)
    TRACEPARENT.set(None)
    job = await stack.provisioner.job(reply.build_id)
    ids = {name: job[name] for name in ("build_id", "build_number", "job_id")}
    await stack.admin.jetstream().publish(
        f"ws.event.{job['workspace']['id']}.job.running", json.dumps(ids).encode(), headers={"traceparent": OTHER}
    )
    await stack.pushes.until(chat, "building")
    await stack.provisioner.tell(job, "failed", error="no disk")
    await stack.pushes.until(chat, "failed")
    await stack.decided()
    await stack.admin.flush()

    assert sorted(traces(found)) == sorted([("job", TRACE), ("creating", TRACE), ("building", OTHER), ("failed", None)])


async def test_what_is_no_trace_is_left_out(stack: Stack) -> None:
    """Whoever reads headers gets no text of somebody else's making."""
    await stack.engine()
    found = await said(stack)
    bodies = [stack.a_create(str(uuid4())) for _ in range(2)]
    for body, trace in zip(bodies, (TRACE.upper(), "00-" + "0" * 32 + "-b7ad6b7169203331-01"), strict=True):
        await stack.admin.request(
            "ws.api.create", json.dumps(body).encode(), timeout=30, headers={"traceparent": trace}
        )
    for body in bodies:
        await stack.pushes.until(body["chat_id"], "creating")
    await stack.decided()
    await stack.admin.flush()

    assert {trace for _, trace in traces(found)} == {None}
