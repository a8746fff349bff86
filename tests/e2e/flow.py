"""One chat for each kind of input, each one step before it happens; and what must have become of all of them."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import NamedTuple, Self
from uuid import uuid4

import msgspec

from tests.e2e.provisioner import Agent, Body, an_agent, now
from tests.e2e.stack import Stack
from workspaced.app.audit import audit
from workspaced.bus import subjects
from workspaced.fsm.effects import ChatDeadline, JobLimit, LinkLost, Timed, WorkspaceExpiry

TTL = timedelta(hours=1)
"""Of every workspace, so that one may be said to be over."""

STAGES = ("creating", "building", "connecting", "starting", "ready", "stopped")
"""How far a chat is brought beforehand, each stage beyond the one before."""


class Chat(NamedTuple):
    """One chat of the flow, with what its workspace's job and agent are called."""

    stack: Stack
    id: str
    job: Body
    agent: Agent

    async def command(self, verb: str, **fields: object) -> None:
        """Put a command on the stream."""
        await self.stack.put_command(verb, {"chat_id": self.id} | fields)

    async def report(self, status: str, **fields: object) -> None:
        """Have the provisioner tell of the job."""
        await self.stack.provisioner.tell(self.job, status, **fields)

    async def due(self, due: Timed) -> None:
        """Have a timer go off before its time."""
        subject = subjects.due(str(due.__struct_config__.tag), due.slot)
        await self.stack.admin.jetstream().publish(subject, msgspec.json.encode(due))

    async def put(self, subject: str, body: Body) -> None:
        """Put any message on its stream."""
        await self.stack.admin.jetstream().publish(subject, json.dumps(body).encode())


class Kind(NamedTuple):
    """A kind of input: where the chat stands before, what happens, and the states it passes then."""

    before: str
    happen: Callable[[Chat], Awaitable[None]]
    passes: list[str]


async def _succeed(chat: Chat) -> None:
    await chat.report("succeeded", agents=[an_agent(chat.agent.id)])


async def _create(chat: Chat) -> None:
    await chat.stack.put_command("create", chat.stack.a_create(chat.id))


async def _attach(chat: Chat) -> None:
    """To the workspace that the job is of."""
    body = chat.stack.a_create(chat.id, workspace_id=chat.job["workspace"]["id"])
    del body["template_id"]
    await chat.stack.put_command("attach", body)


async def _doubt(chat: Chat) -> None:
    ids = {"workspace_id": chat.job["workspace"]["id"], "build_id": chat.job["build_id"], "agent_id": chat.agent.id}
    await chat.command("unreachable", **ids)


async def _build_elsewhere(chat: Chat) -> None:
    build = {"build_id": str(uuid4()), "build_number": 2, "transition": "start", "job_id": str(uuid4())}
    await chat.put(subjects.build_created(chat.job["workspace"]["id"]), {"id": str(uuid4()), "at": now()} | build)


async def _advise(chat: Chat) -> None:
    link = {"server": {"id": chat.agent.link["server_id"]}, "client": {"id": chat.agent.link["client_id"]}}
    link["client"]["user"] = "agent"
    await chat.put("ws.sys.disconnect", {"id": str(uuid4()), "timestamp": now(), "reason": "tests"} | link)


async def _expire(chat: Chat) -> None:
    workspace = chat.job["workspace"]["id"]
    (row,) = await chat.stack.sql("select ttl_at from workspaced.workspaces where id = $1", workspace)
    await chat.due(WorkspaceExpiry(workspace, row["ttl_at"].astimezone(UTC)))


async def _link_lost(chat: Chat) -> None:
    await chat.due(LinkLost(chat.agent.id, chat.agent.link["server_id"], chat.agent.link["client_id"], certain=True))


KINDS = {
    "cmd.create": Kind("new", _create, ["creating"]),
    "cmd.attach": Kind("new", _attach, ["creating", "building", "binding", "connecting", "starting", "ready"]),
    "cmd.start": Kind("stopped", lambda chat: chat.command("start"), ["creating"]),
    "cmd.stop": Kind("ready", lambda chat: chat.command("stop"), ["idle"]),
    "cmd.restart": Kind("ready", lambda chat: chat.command("restart"), ["idle"]),
    "cmd.delete": Kind("ready", lambda chat: chat.command("delete"), ["idle"]),
    "cmd.cancel": Kind("building", lambda chat: chat.command("cancel"), ["building"]),
    "cmd.touch": Kind("ready", lambda chat: chat.command("touch"), []),
    "cmd.unreachable": Kind("ready", _doubt, ["connecting"]),
    "build.created": Kind("ready", _build_elsewhere, ["creating"]),
    "job.running": Kind("creating", lambda chat: chat.report("running"), ["building"]),
    "job.succeeded": Kind("building", _succeed, ["binding", "connecting"]),
    "job.failed": Kind("building", lambda chat: chat.report("failed", error="no such image"), ["failed"]),
    "job.canceling": Kind("building", lambda chat: chat.report("canceling"), ["building"]),
    "job.canceled": Kind("building", lambda chat: chat.report("canceled"), ["failed"]),
    "agent.connected": Kind("connecting", lambda chat: chat.agent.tell("connected"), ["starting"]),
    "agent.lifecycle": Kind("starting", lambda chat: chat.agent.tell("lifecycle", state="ready"), ["ready"]),
    "agent.disconnected": Kind("ready", lambda chat: chat.agent.tell("disconnected"), ["connecting"]),
    "sys.disconnect": Kind("ready", _advise, ["connecting"]),
    "due.chat": Kind("creating", lambda chat: chat.due(ChatDeadline(chat.id, 1)), ["failed"]),
    "due.ttl": Kind("ready", _expire, ["idle"]),
    "due.job": Kind(
        "creating",
        lambda chat: chat.due(JobLimit(chat.job["workspace"]["id"], chat.job["job_id"], "pending")),
        ["failed"],
    ),
    "due.link": Kind("ready", _link_lost, ["connecting"]),
}
"""Everything that an engine takes, but the advisory of a connect, which moves nobody."""

OWN = frozenset({"sys.disconnect", "due.link"})
"""Agents with a connection of their own: its end is that of one agent only."""


class Flow:
    """All of them in one place."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.chats: dict[str, Chat] = {}
        self._before: dict[str, list[str]] = {}

    @classmethod
    async def about_to_happen(cls, stack: Stack) -> Self:
        """Everything is on the streams, and no engine runs."""
        flow = cls(stack)
        await flow.prepare()
        await flow.happen()
        return flow

    async def prepare(self) -> None:
        """Bring each chat where it has to be, with an engine that is gone afterwards."""
        engine = await self.stack.engine(workspace_ttl=TTL)
        for name, kind in KINDS.items():
            if kind.before != "new":
                self.chats[name] = await self._brought_to(kind.before, own=name in OWN)
        touched = self.chats["cmd.touch"]
        self.chats["cmd.create"] = touched._replace(id=str(uuid4()))
        self.chats["cmd.attach"] = touched._replace(id=str(uuid4()))
        await self.stack.decided()
        await self.stack.stop(engine)
        self._before = await self._paths()

    async def _brought_to(self, stage: str, *, own: bool) -> Chat:
        stack, far = self.stack, STAGES.index(stage)
        actors, chat_id = stack.provisioner, str(uuid4())
        job = await actors.job((await stack.create(chat_id)).build_id)
        chat = Chat(stack, chat_id, job, await actors.agent(job, own=own))
        if far >= STAGES.index("building"):
            await chat.report("running")
        if far >= STAGES.index("connecting"):
            await _succeed(chat)
        if far >= STAGES.index("starting"):
            await chat.agent.tell("connected")
        if far >= STAGES.index("ready"):
            await chat.agent.tell("lifecycle", state="ready")
        if far >= STAGES.index("stopped"):
            await stack.pushes.until(chat_id, "ready")
            await actors.build(await actors.job((await stack.client.stop(chat_id)).build_id))
        return chat

    async def happen(self) -> None:
        """Put on the streams what is to be decided."""
        for name, kind in KINDS.items():
            await kind.happen(self.chats[name])

    async def _paths(self) -> dict[str, list[str]]:
        rows = await self.stack.sql(
            "select chat_id::text, array_agg(to_state order by version) as path from workspaced.transitions group by 1"
        )
        return {row["chat_id"]: row["path"] for row in rows}

    async def passed(self) -> dict[str, list[str]]:
        """By kind the states that its chat passed since."""
        paths = await self._paths()
        return {name: paths[chat.id][len(self._before.get(chat.id, ())) :] for name, chat in self.chats.items()}

    async def check(self) -> None:
        """Each thing happened once and was said once, and every invariant holds."""
        await self.stack.decided()
        assert await self.passed() == {name: kind.passes for name, kind in KINDS.items()}
        await everything_is_said(self.stack)
        taken = self.stack.provisioner.seen
        assert await audit(self.stack.dsn, self.stack.admin, taken_jobs=taken) == []


async def everything_is_said(stack: Stack) -> None:
    """Each row was announced once, each deadline in force is armed, no job was queued twice."""
    rows = await stack.sql("select chat_id || ':' || version as id from workspaced.transitions")
    pushes = [kept.headers["Nats-Msg-Id"] for kept in await stack.stored("CHATS")]
    assert sorted(pushes) == sorted(row["id"] for row in rows)
    armed = {kept.subject: kept.json().get("version") for kept in await stack.stored("TIMERS")}
    deadlines = await stack.sql("select id::text, deadline_version from workspaced.chats where deadline_at is not null")
    wanted = {f"ws.timer.chat.{row['id']}": row["deadline_version"] for row in deadlines}
    assert {subject: armed.get(subject) for subject in wanted} == wanted
    assert stack.provisioner.doubled == []
