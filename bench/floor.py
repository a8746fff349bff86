"""The bare pipeline beside the engine: its streams, its process, and events for it."""

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fleet import Fleet
from load import Event
from nats.aio.msg import Msg
from pipeline import CONSUMER, STREAM, Plan
from stack import Stack, started

from workspaced.bus import jetstream

IN, OUT = "floor.in", "floor.out"
PROGRAM = Path(__file__).with_name("pipeline.py")
PUSH_BYTES = 1_400
"""As long as a real one."""


@asynccontextmanager
async def bare_streams(stack: Stack) -> AsyncIterator[None]:
    """One stream in and one out, as the engine has them."""
    for name, subject in ((STREAM, IN), ("FLOOR_OUT", OUT)):
        definition = {"name": name, "subjects": [subject], "storage": "file"}
        await jetstream.request(stack.admin, f"STREAM.CREATE.{name}", definition)
    consumer = {"name": CONSUMER, "durable_name": CONSUMER, "ack_policy": "explicit", "max_ack_pending": 10_000}
    path = f"CONSUMER.CREATE.{STREAM}.{CONSUMER}"
    await jetstream.request(stack.admin, path, {"stream_name": STREAM, "config": consumer})
    yield
    for name in (STREAM, "FLOOR_OUT"):
        await jetstream.request(stack.admin, f"STREAM.DELETE.{name}")


@asynccontextmanager
async def bare_pipeline(stack: Stack, fleet: Fleet, *, facts: bool) -> AsyncIterator[None]:
    """The process; with `facts` it writes the agents' rows too, as the engine does."""
    role = stack.servers.nats.roles["admin"]
    plan = Plan(
        nats_url=stack.servers.nats.url,
        user=role.user,
        password=role.password,
        inbox_prefix=role.inbox_prefix,
        dsn=stack.dsn,
        steps=fleet.steps,
        chats=[member.chat for member in fleet.spare],
        facts=facts,
        push_bytes=PUSH_BYTES,
    )
    process = await started([sys.executable, "-P", str(PROGRAM)], plan)
    yield
    process.terminate()
    await process.wait()


def bare_events(count: int) -> list[Event]:
    """Events for it; the body is the id."""
    names = [str(uuid.uuid4()) for _ in range(count)]
    return [(IN, name.encode(), name) for name in names]


def bare_name(message: Msg) -> str:
    """The event that one of its notifications tells of."""
    return message.data.split(b" ", 1)[0].decode()
