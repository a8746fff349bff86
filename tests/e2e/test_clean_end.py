"""An engine that ends: not ready any more, what was taken is finished, nothing is lost; and its figures."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from tests.e2e.gate import Gate
from tests.e2e.stack import Stack
from workspaced.bus.request import Patience
from workspaced.fsm.errors import Unavailable

PATIENCE = Patience(timedelta(seconds=30), attempts=1)


async def test_what_was_taken_is_finished(stack: Stack) -> None:
    """While it ends `/readyz` says so; the command in hand is done, answered and acknowledged."""
    gate = Gate("after_load")
    engine = await stack.engine(gate.moments)
    gate.close()
    chat = str(uuid4())

    asking = asyncio.create_task(stack.create(chat))
    await gate.reached.wait()
    stopping = asyncio.create_task(stack.stop(engine))
    await asyncio.sleep(0)
    page = await stack.page(engine, "/readyz")
    gate.open()
    await stopping
    reply = await asking
    (command,) = [kept for kept in await stack.stored("EVENTS") if kept.subject.startswith("ws.cmd.")]
    info = await stack.admin.jetstream().consumer_info("EVENTS", "engine")

    assert page == (503, "ending\n")
    assert info.ack_floor
    assert info.ack_floor.stream_seq >= command.sequence
    assert reply.outcome == "accepted"
    assert [row["state"] for row in await stack.sql("select state from workspaced.chats")] == ["creating"]
    assert stack.pushes.path(chat) == [("idle", "creating", "create")]


async def test_ended_among_many_commands(stack: Stack) -> None:
    """Whoever was told `accepted` is served; the others are told to try again, and then are, once."""
    first = await stack.engine()
    client = await stack.a_client(PATIENCE)
    chats = [str(uuid4()) for _ in range(60)]
    answered: dict[str, str] = {}
    some = asyncio.Event()

    async def ask(chat: str) -> None:
        try:
            answered[chat] = (await stack.create(chat, request_id=chat, client=client)).outcome
        except Unavailable:
            answered[chat] = "unavailable"
        some.set()

    asking = [asyncio.create_task(ask(chat)) for chat in chats]
    await some.wait()
    await stack.stop(first)
    await asyncio.gather(*asking)
    kept = {row["id"] for row in await stack.sql("select id::text from workspaced.chats")}
    await stack.engine()
    again = [await stack.create(chat, request_id=chat) for chat in chats]
    await client.close()

    assert {chat for chat, outcome in answered.items() if outcome == "accepted"} <= kept
    assert {reply.outcome for reply in again} == {"accepted"}
    (counts,) = await stack.sql(
        "select (select count(*) from workspaced.chats) as chats, (select count(*) from workspaced.builds) as builds"
    )
    assert (counts["chats"], counts["builds"]) == (len(chats), len(chats))


async def test_figures(stack: Stack) -> None:
    """`/metrics` counts what was taken, decided, put aside and answered."""
    engine = await stack.engine()
    chat = str(uuid4())
    await stack.ready(chat)
    await stack.admin.jetstream().publish("ws.event.me.job.running", b"{}")
    await stack.decided()

    status, text = await stack.page(engine, "/metrics")

    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert status == 200
    assert figures['workspaced_transitions_total{to="ready"}'] == "1.0"
    assert figures['workspaced_dead_total{reason="bad_subject"}'] == "1.0"
    assert figures['workspaced_request_seconds_count{status="200",verb="create"}'] == "1.0"
    assert float(figures["workspaced_inputs_total"]) >= 7
    assert (figures["workspaced_store_up"], figures["workspaced_nats_up"]) == ("1.0", "1.0")


async def test_pages(stack: Stack) -> None:
    """Three pages, and a word for whoever asks for another one."""
    engine = await stack.engine()

    assert await stack.page(engine, "/readyz") == (200, "ready\n")
    assert await stack.page(engine, "/livez") == (200, "alive\n")
    assert (await stack.page(engine, "/"))[0] == 404
