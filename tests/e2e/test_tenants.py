"""Users of one organization, as docs/security.md has them: theirs works, and there is nothing else (issue 6)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from msgspec.structs import replace
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from tests.command_line import CommandLine
from tests.e2e.provisioner import now
from tests.e2e.stack import LIMIT, ORGANIZATION, TEMPLATE, Stack
from tests.permission_table import snippet
from tests.servers import Connections, running, server_with_shared_agent
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.serve import Server
from workspaced.bus import subjects
from workspaced.bus.build_log import BuildLog
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.dial import Dialer
from workspaced.bus.messages import ListRequest
from workspaced.fsm.errors import Forbidden, WorkspacedError

ACME: Final = "5d0c1f3a-0000-4000-8000-00000000acce"
"""The organization of the users in docs/security.md; the stack's own is another one."""
TABLES: Final = ("chats", "workspaces", "builds", "agents", "transitions", "stale")

Body = dict[str, Any]


@pytest.fixture(scope="module")
def nats_server() -> Iterator[NatsServer]:
    """A server with this account and its users."""
    names = ("acme", "acme_inspector")
    with running(partial(server_with_shared_agent, accounts=snippet("tenant-account"), names=names)) as server:
        yield server


@pytest.fixture
async def stack(stack: Stack) -> Stack:
    """With an engine that announces by organization."""
    engine = Server(replace(stack.config(), tenants=True))
    await engine.start()
    stack.engines.append(engine)
    return stack


@pytest.fixture
async def acme(stack: Stack) -> AsyncIterator[WorkspacedClient]:
    """The chat daemon of one organization."""
    who = stack.server.credentials.role("acme")
    async with await WorkspacedClient.connect(
        stack.server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix, tenant=ACME
    ) as client:
        yield client


async def put_template(stack: Stack) -> str:
    """One of the organization's own; its id."""
    put = await stack.client.put_template({"organization_id": ACME, "name": "own"})
    return put.template.id


async def log(stack: Stack, job: Body, output: str) -> None:
    """A line of a build's log."""
    line = {"seq": 1, "at": now(), "stage": "build", "level": "info", "output": output}
    subject = subjects.log(job["workspace"]["id"], job["build_id"])
    await stack.admin.jetstream().publish(subject, json.dumps(line).encode())


async def rows(stack: Stack) -> list[Body]:
    """All that chats come to; records of refused commands are not among it."""
    return [dict(row) for table in TABLES for row in await stack.sql(f"select to_json(t) from workspaced.{table} t")]  # noqa: S608  # our own names


async def asked(client: WorkspacedClient, verb: str, **body: object) -> tuple[int, str | None, str, Any]:
    """Status, word, text and what else an answer has to a request of the organization's user."""
    subject = subjects.api(verb, ACME)
    answer = await client.connection.request(subject, json.dumps(body).encode(), timeout=LIMIT)
    told: Body = json.loads(answer.data)
    status = int((answer.headers or {}).get("Nats-Service-Error-Code", 200))
    return status, told.pop("code", None), told.pop("error", ""), told


async def test_its_own_chat_works(stack: Stack, acme: WorkspacedClient) -> None:
    """From create to ready, stop and log, with every version pushed."""
    chat_id, template_id = str(uuid4()), await put_template(stack)
    async with acme.watch(chat_id) as snapshots:
        reply = await acme.create(chat_id, owner=stack.owner, organization_id=ACME, template_id=template_id)
        job = await stack.provisioner.job(reply.build_id)
        await log(stack, job, "made")
        await stack.provisioner.bring_up(job)
        versions = []
        async with asyncio.timeout(LIMIT):
            async for snapshot in snapshots:
                versions.append(snapshot.version)
                if snapshot.state == "ready":
                    break
    dialer = Dialer(acme, connector)
    with await dialer.dial(chat_id) as agent:
        dialed = agent.connection
    await dialer.close()
    stopped = await acme.stop(chat_id)

    assert versions == list(range(1, len(versions) + 1))
    assert dialed == snapshot.agent_id
    assert stopped.outcome == "accepted"
    assert (await acme.get(chat_id)).workspace is not None
    assert len((await acme.history(chat_id)).transitions) > len(versions)
    assert [line.output for line in (await acme.logs(job["build_id"])).lines] == ["made"]
    assert (await acme.get_template(template_id)).id == template_id


async def connector(agent_id: str) -> tuple[str, None]:
    """Reaches everybody."""
    return agent_id, None


async def test_lists_hold_its_own(stack: Stack, acme: WorkspacedClient) -> None:
    """Whatever it asks for."""
    template_id, chat_id = await put_template(stack), str(uuid4())
    await acme.create(chat_id, owner=stack.owner, organization_id=ACME, template_id=template_id)
    await stack.create(str(uuid4()))
    of_others = ListRequest(organization_id=ORGANIZATION)

    found = [[chat.chat_id for chat in (await acme.list_chats(query)).chats] for query in (None, of_others)] + [
        [chat for entry in (await acme.list_workspaces(query)).workspaces for chat in entry.chats]
        for query in (None, of_others)
    ]
    templates = [each.id for each in (await acme.list_templates(organization_id=ORGANIZATION)).templates]

    assert (found, templates) == ([[chat_id]] * 4, [template_id])


COMMANDS: Final[dict[str, Body]] = {
    "start": {},
    "restart": {},
    "stop": {},
    "delete": {},
    "cancel": {},
    "touch": {},
}


async def test_commands_for_anothers_chat_do_nothing(stack: Stack, acme: WorkspacedClient) -> None:
    """They are answered as for a chat that is not there, also under a `request_id` that its owner used."""
    chat_id, request_id = str(uuid4()), str(uuid4())
    reply = await stack.create(chat_id, request_id=request_id)
    agent = await stack.provisioner.bring_up(await stack.provisioner.job(reply.build_id))
    ready = (await stack.pushes.until(chat_id, "ready"))["snapshot"]
    bound = {"workspace_id": ready["workspace"]["id"], "build_id": reply.build_id, "agent_id": agent.id}
    await stack.client.touch(chat_id, request_id=request_id + "-touch")
    await stack.decided()
    before, unknown = await rows(stack), str(uuid4())

    answers = []
    for chat in (chat_id, unknown):
        for verb, body in (COMMANDS | {"unreachable": bound}).items():
            for again in (str(uuid4()), request_id, f"{request_id}-touch"):
                answers.append(await asked(acme, verb, chat_id=chat, request_id=again, actor_id=None, **body))  # noqa: PERF401  # one after another
    await stack.decided()

    half = len(answers) // 2
    assert answers[:half] == answers[half:]
    assert {(status, code) for status, code, _, _ in answers} == {(409, "no_workspace"), (409, "nothing_to_cancel")}
    assert await rows(stack) == before


async def test_create_and_attach_are_held_to_it(stack: Stack, acme: WorkspacedClient) -> None:
    """Nothing of another organization is reached by naming it."""
    taken, template_id = str(uuid4()), await put_template(stack)
    reply = await stack.create(taken)
    assert reply.snapshot is not None
    assert reply.snapshot.workspace is not None
    await stack.decided()
    before = await rows(stack)
    own: Body = {"owner": {"id": stack.owner.id, "name": "ada"}, "organization_id": ACME, "template_id": template_id}
    to_workspace = {"workspace_id": reply.snapshot.workspace.id}
    tries: list[tuple[str, Body, tuple[int, str]]] = [
        ("create", {"organization_id": ORGANIZATION, "template_id": TEMPLATE}, (403, "not_owner")),
        ("create", {"chat_id": taken}, (403, "not_owner")),
        ("create", {"template_id": TEMPLATE}, (404, "template_not_found")),
        ("attach", {"organization_id": ORGANIZATION, **to_workspace}, (403, "not_owner")),
        ("attach", {"chat_id": taken, "organization_id": ORGANIZATION, **to_workspace}, (403, "not_owner")),
        ("attach", to_workspace, (400, "workspace_not_found")),
        ("attach", {"from_chat_id": taken}, (404, "parent_not_found")),
    ]

    answers = []
    for verb, body, _ in tries:
        given = own | {"chat_id": str(uuid4()), "request_id": str(uuid4())} | body
        answers.append((await asked(acme, verb, **given))[:2])

    assert answers == [expected for _, _, expected in tries]
    assert await rows(stack) == before


async def test_looks_at_anothers_find_nothing(stack: Stack, acme: WorkspacedClient) -> None:
    """They are answered as for what is not there."""
    chat_id = str(uuid4())
    reply = await stack.create(chat_id)
    await log(stack, await stack.provisioner.job(reply.build_id), "secret")

    answers = [
        [
            await asked(acme, "get", chat_id=chat),
            await asked(acme, "history", chat_id=chat, stale=True),
            await asked(acme, "logs", build_id=build),
            await asked(acme, "templates.get", template_id=template),
        ]
        for chat, build, template in ((chat_id, reply.build_id, TEMPLATE), (str(uuid4()), str(uuid4()), str(uuid4())))
    ]

    assert answers[0] == answers[1]
    assert [(status, code) for status, code, _, _ in answers[0]] == [
        (404, "chat_not_found"),
        (404, "chat_not_found"),
        (200, None),
        (404, "template_not_found"),
    ]


async def test_a_log_is_followed(stack: Stack, acme: WorkspacedClient, connect: Connections) -> None:
    """As it grows, to its end; of another organization's build there is nothing."""
    heard = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    await acme.connection.subscribe(f"ws.org.{ACME}.log.>", cb=hear)
    provisioner, flush = await connect("provisioner"), timedelta(0)
    others = await stack.provisioner.job((await stack.create(str(uuid4()))).build_id)
    theirs = BuildLog(
        provisioner, others["workspace"]["id"], others["build_id"], attempt=1, flush=flush, tenant=ORGANIZATION
    )
    theirs.add("build", "info", "secret")
    await theirs.end()
    template_id = await put_template(stack)
    reply = await stack.create(str(uuid4()), organization_id=ACME, template_id=template_id)
    job = await stack.provisioner.job(reply.build_id)
    own = BuildLog(provisioner, job["workspace"]["id"], job["build_id"], attempt=1, flush=flush, tenant=ACME)
    async with asyncio.timeout(LIMIT), acme.follow_logs(job["build_id"]) as following:
        own.add("build", "info", "first")
        lines = [await anext(following)]
        own.add("build", "info", "second")
        lines.append(await anext(following))
        await own.end()
        lines += [line async for line in following]

    assert [line.output for line in lines] == ["first", "second"]
    assert set(heard) == {subjects.log(job["workspace"]["id"], job["build_id"], ACME)}


async def test_who_may_not_follow(stack: Stack) -> None:
    """Its inspector is told at once, and what to do."""
    who = stack.server.credentials.role("acme_inspector")
    async with await WorkspacedClient.connect(
        stack.server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix, tenant=ACME
    ) as inspector:
        with pytest.raises(Forbidden, match="read it by page"):
            async with inspector.follow_logs(str(uuid4())):
                pass


@pytest.mark.parametrize("verb", ["dead", "settings.get", "settings.put", "templates.put", "templates.delete"])
async def test_what_is_not_for_it(acme: WorkspacedClient, verb: str) -> None:
    """Nobody hears such a request."""
    with pytest.raises(NoRespondersError):
        await acme.connection.request(subjects.api(verb, ACME), b"{}", timeout=LIMIT)


@pytest.mark.parametrize("role", ["acme", "acme_inspector"])
async def test_other_subjects_are_denied(connect: Connections, role: str) -> None:
    """By NATS: the plain ones, other organizations', and everybody's pushes and logs."""
    client, some_id = await connect(role), str(uuid4())
    said = ["ws.api.get", "ws.api.create", f"ws.cmd.{some_id}.stop", subjects.api("get", ORGANIZATION)]
    said.append(subjects.chat(some_id, "ready", ACME))
    heard = ["ws.chat.>", "ws.log.>", "ws.org.>", "ws.org.*.chat.>", "ws.org.*.log.>", subjects.all_chats(ORGANIZATION)]
    heard.append(subjects.logs_of(some_id, ORGANIZATION))
    heard.append(subjects.api("get", ACME))
    refused = []
    for subject in said:
        await client.publish(subject)
        refused.append(len(await connect.refusals(client)))
    for subject in heard:
        await client.subscribe(subject)
        refused.append(len(await connect.refusals(client)))

    assert refused == [1] * (len(said) + len(heard))


async def test_an_inspector_looks_only(stack: Stack, connect: Connections) -> None:
    """It finds the organization's chats, and no command of it is heard."""
    template_id, chat_id = await put_template(stack), str(uuid4())
    await stack.create(chat_id, organization_id=ACME, template_id=template_id)
    connection = await connect("acme_inspector")
    inspector = WorkspacedClient(connection, tenant=ACME)

    found = await inspector.list_chats()
    await connection.publish(subjects.api("stop", ACME), b"{}")

    assert [chat.chat_id for chat in found.chats] == [chat_id]
    assert len(await connect.refusals(connection)) == 1


async def test_a_tenant_that_is_none_is_refused(stack: Stack) -> None:
    """The admin may publish anywhere, and a token that is no id leads nowhere."""
    answer = await stack.admin.request("ws.org.none.api.list", b"{}", timeout=LIMIT)

    assert (answer.headers or {})["Nats-Service-Error-Code"] == "400"


async def test_a_body_or_header_cannot_say_the_tenant(stack: Stack) -> None:
    """Only the subject does, which NATS has checked."""
    chat_id = str(uuid4())
    reply = await stack.create(chat_id)
    body = json.dumps({"chat_id": chat_id, "request_id": str(uuid4()), "tenant": ACME}).encode()

    answer = await stack.admin.request("ws.api.stop", body, timeout=LIMIT, headers={"Ws-Organization": ACME})

    assert json.loads(answer.data)["outcome"] == "conflict"
    assert reply.outcome == "accepted"


async def test_the_command_line(stack: Stack, folder: Path) -> None:
    """`WORKSPACED_TENANT` says which subjects, and whose a new chat is."""
    await put_template(stack)
    await stack.create(str(uuid4()))
    who = stack.server.credentials.role("acme")
    acme = {"NATS_URL": stack.server.url, "WORKSPACED_USER": who.user, "WORKSPACED_PASSWORD": who.password}
    command_line = CommandLine(acme | {"WORKSPACED_TENANT": ACME, "XDG_STATE_HOME": str(folder)})

    made = await asyncio.to_thread(command_line.json, "create", "--template", "own", "--no-wait")
    chat = made["snapshot"]["chat_id"]
    found = await asyncio.to_thread(command_line.json, "ps", "--all")

    assert made["snapshot"]["workspace"]["organization_id"] == ACME
    assert [one["chat_id"] for one in found["chats"]] == [chat]


async def test_errors_reach_the_client(stack: Stack, acme: WorkspacedClient) -> None:
    """As the same words as anybody's."""
    chat_id = str(uuid4())
    await stack.create(chat_id)

    with pytest.raises(WorkspacedError, match="no such chat"):
        await acme.get(chat_id)
