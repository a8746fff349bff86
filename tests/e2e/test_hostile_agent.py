"""An agent that does its worst: its own credentials, any subject, any header, any body (issue 6)."""

import json
from itertools import product
from typing import Any
from uuid import uuid4

from tests.e2e.hostile import Secretive, a_callout, come_in
from tests.e2e.provisioner import an_agent
from tests.e2e.stack import Stack
from tests.permission_table import rows
from workspaced.bus.subjects import AGENT_KINDS

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


async def test_a_hostile_agent_moves_nobody_elses_machine(stack: Stack) -> None:
    """Whatever it publishes and whatever it hears, the other workspace stays as it is."""
    await stack.engine()
    async with a_callout(stack):
        chat_id, victim = await ready_by_secret(stack)
        _, hostile = await ready_by_secret(stack)
        ids = ids_of(victim, hostile, chat_id)
        workspace_id, own = ids["workspace"], f"ws.event.{ids['other workspace']}.agent.{hostile.id}"
        before = await rows_of(stack, workspace_id)
        first = (await stack.admin.jetstream().stream_info("EVENTS")).state.last_seq
        heard: list[str] = []

        async def hear(message: Any) -> None:  # noqa: ANN401  # a NATS message
            heard.append(message.subject)

        for subject in rows("may-subscribe", ids).may:
            await hostile.connection.subscribe(subject, cb=hear)
        subjects = [*rows("may-publish", ids).may, *(f"{own}.{kind}" for kind in sorted(AGENT_KINDS)), f"{own}.x"]
        for subject, body, more in product(subjects, bodies(victim, chat_id), headers(victim)):
            await hostile.connection.publish(
                subject, json.dumps({"id": str(uuid4())} | body).encode(), reply="_INBOX_chatd.x", headers=more or None
            )
        await stack.connect.refusals(hostile.connection)
        await stack.decided()

        said = {kept.subject for kept in await stack.stored("EVENTS") if kept.sequence > first}
        assert {subject for subject in said if not subject.startswith("ws.sys.")} <= {f"{own}.{k}" for k in AGENT_KINDS}
        assert await rows_of(stack, workspace_id) == before
        assert {
            subject for subject in heard if not subject.startswith(("$SYS.REQ.USER", "_INBOX_" + hostile.id))
        } == set()

        # It has named the victim's connection as its own, and still the victim's end is the victim's.
        await victim.connection.close()
        push = await stack.pushes.until(chat_id, "connecting")

    assert push["cause"]["event"] == "sys.disconnect"


async def test_turned_out_is_out(stack: Stack) -> None:
    """Its workspace is stopped: the connection ends, and nothing it says arrives any more."""
    await stack.engine()
    async with a_callout(stack):
        chat_id, hostile = await ready_by_secret(stack)
        await stack.client.stop(chat_id)

        await hostile.dropped()

    assert hostile.connection.is_closed
