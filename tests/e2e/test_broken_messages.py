"""Messages that the NATS library cannot read: one of them must not keep an engine from all others."""

import asyncio
import json
from uuid import uuid4

import pytest
from nats.aio.msg import Msg

from tests import broken
from tests.e2e.hostile import a_callout
from tests.e2e.stack import LIMIT, Stack
from tests.e2e.test_hostile_agent import ready_by_secret
from workspaced.bus import subjects
from workspaced.bus.dial_errors import DialError
from workspaced.bus.ping import PingConnector


async def test_in_a_stream(stack: Stack) -> None:
    """From a provisioner, by headers and by subject: each is put aside, and the next chat gets ready."""
    await stack.engine()
    provisioner = await stack.connect("provisioner")
    subject = f"ws.event.{uuid4()}.job.running".encode()
    for block in broken.BLOCKS:
        await broken.publish(provisioner, subject, b"{}", block=block)
    for odd in broken.ODD:
        await broken.publish(provisioner, subject + odd, b"{}")
        await broken.publish(provisioner, b"ws.event." + odd + b".job.running", b"{}")
    await stack.decided()

    assert len(await stack.stored("DEAD")) == len(broken.BLOCKS) + 2 * len(broken.ODD)
    await stack.ready(str(uuid4()))


async def test_from_an_agent(stack: Stack) -> None:
    """It may choose no subject, but headers: nobody else notices."""
    await stack.engine()
    async with a_callout(stack):
        _, hostile = await ready_by_secret(stack)
        subject = f"ws.event.{hostile.job['workspace']['id']}.agent.{hostile.id}.lifecycle".encode()
        for block in broken.BLOCKS:
            await broken.publish(hostile.connection, subject, b"{}", block=block)
        await stack.decided()

        assert len(await stack.stored("DEAD")) == len(broken.BLOCKS)
        await ready_by_secret(stack)


async def test_answers_of_an_agent(stack: Stack) -> None:
    """Who dials it hears that it is none, and goes on with other agents on the same connection."""
    await stack.engine()
    async with a_callout(stack), await stack.a_client() as client:
        _, hostile = await ready_by_secret(stack)
        blocks = iter(broken.BLOCKS)

        async def answer(message: Msg) -> None:
            await broken.publish(hostile.connection, message.reply.encode(), b"{}", block=next(blocks))

        await hostile.connection.subscribe(subjects.ping(hostile.id), cb=answer)
        await hostile.connection.flush()
        connector = PingConnector(client.connection)
        for _ in broken.BLOCKS:
            with pytest.raises(DialError, match="is no agent"):
                await asyncio.wait_for(connector(hostile.id), LIMIT)

        assert (await client.list_chats()).chats


async def test_requests(stack: Stack) -> None:
    """Who asks with a reply subject that is no text, or with such headers, harms nobody but itself."""
    await stack.engine()
    inspector = await stack.connect("inspector")
    for odd in broken.ODD:
        await broken.publish(inspector, b"ws.api.list", b"{}", reply=b"_INBOX_inspector." + odd)
    for block in broken.BLOCKS:
        await broken.publish(inspector, b"ws.api.list", b"{}", block=block, reply=b"_INBOX_inspector.x")

    answer = await inspector.request("ws.api.list", b"{}", timeout=LIMIT)
    assert json.loads(answer.data) == {"chats": []}


async def test_lines_of_a_log(stack: Stack) -> None:
    """They reach who follows the log and who reads it later, whatever their headers say."""
    await stack.engine()
    chat = await stack.create(str(uuid4()))
    assert chat.build_id
    assert chat.snapshot
    assert chat.snapshot.workspace
    provisioner = await stack.connect("provisioner")
    subject = f"ws.log.{chat.snapshot.workspace.id}.{chat.build_id}".encode()
    lines = [{"at": "2026-11-25T00:00:00Z", "seq": n, "output": str(n)} for n, _ in enumerate(broken.BLOCKS, 1)]
    client = await stack.a_client()
    async with client, client.follow_logs(chat.build_id) as following:
        for block, line in zip(broken.BLOCKS, lines, strict=True):
            await broken.publish(provisioner, subject, json.dumps(line).encode(), block=block)
        async with asyncio.timeout(LIMIT):
            followed = [(await anext(following)).seq for _ in lines]
        page = await client.logs(chat.build_id)

    assert followed == [line["seq"] for line in lines]
    assert [line.seq for line in page.lines] == followed
