"""Many chats at once over two engines."""

import asyncio
from itertools import count
from uuid import uuid4

from tests.e2e.stack import Stack
from workspaced.bus.messages import ListRequest

CHATS = 200
AT_ONCE = 50
"""Requests that wait for an answer at a time; the other chats' events arrive in between."""


async def test_two_hundred_chats(stack: Stack) -> None:
    """All are ready, each with one workspace of its own, versions without a gap, every push heard and kept once."""
    for _ in range(2):
        await stack.engine()
    chats = [str(uuid4()) for _ in range(CHATS)]
    room, connections = asyncio.Semaphore(AT_ONCE), count(1_000_000)

    async def create(chat: str) -> None:
        async with room:
            reply = await stack.create(chat, request_id=chat)
            while reply.outcome == "queued":  # on a busy machine; it is done, and asked again answers
                reply = await stack.create(chat, request_id=chat)
        agent = await stack.provisioner.build(await stack.provisioner.job(reply.build_id))
        agent.link["client_id"] = next(connections)  # in life no two agents share one
        await agent.get_ready()
        await stack.pushes.until(chat, "ready")

    await asyncio.gather(*map(create, chats))

    rows = await stack.sql(
        """select chat_id::text, min(version) as first, max(version) as last, count(*) as rows,
                  max(version) = (select version from workspaced.chats where id = chat_id) as whole
           from workspaced.transitions group by chat_id"""
    )
    assert {row["chat_id"] for row in rows} == set(chats)
    assert all(row["first"] == 1 and row["last"] == row["rows"] and row["whole"] for row in rows)
    (counts,) = await stack.sql(
        """select count(distinct workspace_id) as bound, count(*) filter (where state = 'ready') as ready,
                  (select count(*) from workspaced.workspaces) as made,
                  (select count(*) from workspaced.builds) as builds
           from workspaced.chats"""
    )
    assert dict(counts) == {"bound": CHATS, "ready": CHATS, "made": CHATS, "builds": CHATS}
    expected = {row["chat_id"]: list(range(1, row["last"] + 1)) for row in rows}
    assert {chat: sorted(set(stack.pushes.versions(chat))) for chat in chats} == expected
    kept = (await stack.admin.jetstream().stream_info("CHATS")).state.messages
    assert kept == sum(row["rows"] for row in rows)
    page = await stack.client.list_chats(ListRequest(limit=500))
    assert {snapshot.chat_id for snapshot in page.chats} == set(chats)


async def test_one_request_asked_by_many(stack: Stack) -> None:
    """Fifty creates for one chat, over two engines, make one workspace; one of them began it."""
    for _ in range(2):
        await stack.engine()
    chat = str(uuid4())

    replies = await asyncio.gather(*(stack.create(chat) for _ in range(50)))

    assert sorted({reply.outcome for reply in replies}) == ["accepted", "attached"]
    assert [reply.outcome for reply in replies].count("accepted") == 1
    assert len({reply.build_id for reply in replies}) == 1
    assert len(await stack.sql("select from workspaced.workspaces")) == 1
