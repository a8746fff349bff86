"""An agent that does its worst: its own credentials, any subject, any header, any body (issue 6)."""

import json
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from nats.aio.msg import Msg

from tests.e2e.hostile import Secretive, a_callout, all_stored, come_in
from tests.e2e.provisioner import an_agent
from tests.e2e.stack import ORGANIZATION, Stack
from tests.permission_table import rows
from workspaced.bus.tokens import AGENT_KINDS

TABLES = ("workspaces", "builds", "agents", "chats", "transitions")


async def ready_by_secret(stack: Stack) -> tuple[str, Secretive]:
    """A chat that is ready by an agent that the callout let in."""
    chat_id = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat_id)).build_id)
    agent = await come_in(stack, job)
    await stack.provisioner.tell(job, "succeeded", agents=[an_agent(agent.id)])
    await agent.get_ready()
    await stack.pushes.until(chat_id, "ready")
    return chat_id, agent


async def rows_of(stack: Stack, workspace_id: str) -> list[str]:
    """Everything that is kept of a workspace."""
    column = {"workspaces": "id"}
    queries = (
        f"select row_to_json(t)::text as row from workspaced.{table} t where {column.get(table, 'workspace_id')} = $1"  # noqa: S608  # constants
        for table in TABLES
    )
    return [row["row"] for query in queries for row in await stack.sql(query + " order by 1", workspace_id)]


def ids_of(victim: Secretive, hostile: Secretive, chat_id: str) -> dict[str, str]:
    """The victim's, for the tables of docs/security.md."""
    return {
        "workspace": victim.job["workspace"]["id"],
        "other workspace": hostile.job["workspace"]["id"],
        "agent": victim.id,
        "other agent": hostile.id,
        "organization": ORGANIZATION,
        "chat": chat_id,
        "job": victim.job["job_id"],
        "build": victim.job["build_id"],
        "server": victim.link["server_id"],
    }


def bodies(victim: Secretive, chat_id: str) -> list[dict[str, Any]]:
    """Everything that would do harm, were it believed."""
    job = victim.job
    ids = {"build_id": job["build_id"], "build_number": job["build_number"], "job_id": job["job_id"]}
    return [
        ids | {"error": "gone", "agents": []},
        ids | {"build_id": str(uuid4()), "build_number": 2, "transition": "delete"},
        ids | victim.link | {"state": "off"},
        victim.link | {"state": "ready"},
        {"server": {"id": victim.link["server_id"]}, "client": {"id": victim.link["client_id"], "user": victim.id}},
        {"type": "link", "agent_id": victim.id, **victim.link, "certain": True},
        {"chat_id": chat_id, "request_id": str(uuid4())},
        {"cid": victim.link["client_id"]},
    ]


def headers(victim: Secretive) -> list[dict[str, str]]:
    """Everything that means something to a server or to an engine."""
    subject = f"ws.event.{victim.job['workspace']['id']}.agent.{victim.id}.disconnected"
    return [
        {},
        {"Nats-Schedule": "@at 2026-01-01T00:00:00Z", "Nats-Schedule-Target": subject},
        {"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Msg-Id": f"{victim.job['workspace']['id']}:1"},
        {"Ws-Reply": "_INBOX_chatd.x", "Ws-Redriven": "1", "ce-source": "workspaced", "Nats-Marker-Reason": "Purge"},
    ]


def replies(ids: dict[str, str]) -> list[str]:
    """Where a stream's answer would do harm."""
    return [
        "_INBOX_chatd.x",
        f"ws.timer.chat.{ids['chat']}",
        f"ws.timer.ttl.{ids['workspace']}",
        f"ws.chat.{ids['chat']}.failed",
        f"ws.event.{ids['workspace']}.job.failed",
        f"ws.job.local.{ids['job']}",
        "ws.sys.disconnect",
        "ws.resync",
        "$JS.API.STREAM.PURGE.EVENTS",
    ]


async def test_a_hostile_agent_moves_nobody_elses_machine(stack: Stack) -> None:
    """Whatever it publishes and wherever it has the answer go, the other workspace stays as it is."""
    await stack.engine()
    async with a_callout(stack):
        chat_id, victim = await ready_by_secret(stack)
        own_chat, hostile = await ready_by_secret(stack)
        ids = ids_of(victim, hostile, chat_id)
        own = f"ws.event.{ids['other workspace']}.agent.{hostile.id}."
        await stack.decided()
        before, stored = await rows_of(stack, ids["workspace"]), await all_stored(stack)
        others = rows("may-publish", ids).may
        mine = [own + kind for kind in (*sorted(AGENT_KINDS), "x")]
        for subject, body, more in product((*others, *mine), bodies(victim, chat_id), headers(victim)):
            content = json.dumps({"id": str(uuid4())} | body).encode()
            await hostile.connection.publish(subject, content, reply="_INBOX_chatd.x", headers=more or None)
        for reply in replies(ids):
            await hostile.connection.publish(own + "connected", b"{}", reply=reply)
        await stack.connect.refusals(hostile.connection)
        await stack.decided()

        said = {subject for _, _, subject in await all_stored(stack) - stored}
        allowed = (own, f"ws.dead.{own}", f"ws.chat.{own_chat}.", f"ws.timer.chat.{own_chat}")
        assert [subject for subject in said if not subject.startswith(allowed)] == []
        assert await rows_of(stack, ids["workspace"]) == before

        # It has named the victim's connection as its own, and still the victim's end is the victim's.
        ready = stack.pushes.heard[chat_id][-1]["version"]
        await victim.connection.close()
        push = await stack.pushes.until(chat_id, "connecting", after=ready)

    assert push["cause"]["event"] == "sys.disconnect"


async def test_a_hostile_agent_hears_nothing(stack: Stack) -> None:
    """It subscribes to everything there is while another chat comes, is pinged and goes."""
    await stack.engine()
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    async with a_callout(stack):
        _, hostile = await ready_by_secret(stack)
        for subject in rows("may-subscribe").may:
            await hostile.connection.subscribe(subject, cb=hear)
        await stack.connect.refusals(hostile.connection)
        chat_id, _ = await ready_by_secret(stack)
        await stack.client.delete(chat_id)
        await stack.decided()
        await stack.connect.refusals(hostile.connection)

    assert heard == []


async def test_turned_out_is_out(stack: Stack) -> None:
    """Its workspace is stopped: the connection ends, and nothing it says arrives any more."""
    await stack.engine()
    async with a_callout(stack):
        chat_id, hostile = await ready_by_secret(stack)
        await stack.client.stop(chat_id)

        await hostile.dropped()

    assert hostile.connection.is_closed


@pytest.mark.parametrize("beyond", ["subscriptions", "payload"])
async def test_a_hostile_agent_has_limits(stack: Stack, beyond: str) -> None:
    """A hundred subscriptions and 256 KiB a message: one more ends its connection, and nobody else's."""
    await stack.engine()
    async with a_callout(stack):
        _, victim = await ready_by_secret(stack)
        _, hostile = await ready_by_secret(stack)
        own, inbox = f"ws.event.{hostile.job['workspace']['id']}.agent.{hostile.id}.lifecycle", f"_INBOX_{hostile.id}"
        had = len(hostile.connection._subs)  # noqa: SLF001  # counted by nobody else
        for number in range(100 - had):
            await hostile.connection.subscribe(f"{inbox}.{number}")
        await hostile.connection.publish(own, b"x" * 256 * 1024)
        await stack.connect.refusals(hostile.connection)
        assert hostile.connection.is_connected
        if beyond == "subscriptions":
            await hostile.connection.subscribe(f"{inbox}.more")
        else:
            await hostile.connection.publish(own, b"x" * (256 * 1024 + 1))

        await hostile.dropped()
        await stack.connect.refusals(victim.connection)

    assert victim.connection.is_connected
