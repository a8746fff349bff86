"""The TTL of workspaces on real servers: who has one, when it runs, what pushes it back, what its end does.

The rows of domain.md 4.2 and of wire.md section 8.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from tests.e2e.provisioner import Agent, Body
from tests.e2e.stack import ORGANIZATION, Stack
from workspaced.bus import subjects
from workspaced.bus.announce import timer_message
from workspaced.bus.headers import SCHEDULE
from workspaced.fsm.effects import SetTimer, WorkspaceExpiry
from workspaced.fsm.errors import WorkspacedError

LONG, SHORT = timedelta(hours=8), timedelta(milliseconds=100)


async def a_template(stack: Stack, default_ttl_ms: int | None) -> str:
    """The id of a fresh template."""
    name = f"t{uuid4().hex[:8]}"
    asked = {"organization_id": ORGANIZATION, "name": name, "default_ttl_ms": default_ttl_ms}
    return (await stack.client.put_template(asked)).template.id


async def ready(stack: Stack, chat: str) -> tuple[Body, Agent]:
    """The chat's job and agent, once it is ready."""
    reply = await stack.create(chat)
    job = await stack.provisioner.job(reply.build_id)
    agent = await stack.provisioner.bring_up(job)
    await stack.pushes.until(chat, "ready")
    return job, agent


async def ttl_at(stack: Stack, job: Body) -> datetime | None:
    """When the job's workspace is to be stopped."""
    ((at,),) = await stack.sql("select ttl_at from workspaced.workspaces where id = $1", job["workspace"]["id"])
    assert at is None or isinstance(at, datetime)
    return at


async def scheduled(stack: Stack, job: Body) -> str:
    """The schedule in the slot of the workspace's timer."""
    slot = await stack.admin.jetstream().get_last_msg("TIMERS", subjects.timer("ttl", job["workspace"]["id"]))
    assert slot.headers
    return str(slot.headers[SCHEDULE])


async def goes_off(stack: Stack, job: Body, at: datetime | None) -> None:
    """Put there what the server puts there at that time, and wait until it is decided."""
    assert at
    timer = WorkspaceExpiry(job["workspace"]["id"], at)
    subject = subjects.due("ttl", job["workspace"]["id"])
    await stack.admin.jetstream().publish(subject, msgspec.json.encode(timer))
    await stack.decided()


WHO_HAS_ONE: dict[str, tuple[str, int | None, int | None]] = {
    "none": ("", None, None),
    "zero": ("0s", None, None),
    "the setting": ("1h30m", None, 5_400_000),
    "the setting before the template": ("90s", 7000, 90_000),
    "the template": ("", 7000, 7000),
    "the template, the setting being zero": ("0", 7000, 7000),
    "the template, the setting being unreadable": ("soon", 7000, 7000),
    "none, the setting being negative": ("-8h", None, None),
}
"""The stored setting, the template's `default_ttl_ms`, the workspace's `ttl_ms`."""


async def test_who_has_one(stack: Stack, subtests: pytest.Subtests) -> None:
    """It is settled at create, told to the provisioner, and stays."""
    await stack.engine()
    for name, (setting, default_ttl_ms, expected) in WHO_HAS_ONE.items():
        await stack.sql(
            "insert into workspaced.settings (name, text) values ('workspace_ttl', $1) "
            "on conflict (name) do update set text = excluded.text",
            setting,
        )
        template_id = await a_template(stack, default_ttl_ms)
        reply = await stack.create(str(uuid4()), template_id=template_id)
        job = await stack.provisioner.job(reply.build_id)
        await stack.client.put_settings({"workspace_ttl": "3h"})
        rows = await stack.sql("select ttl_ms from workspaced.workspaces where id = $1", job["workspace"]["id"])

        with subtests.test(name):
            assert (job["workspace"]["ttl_ms"], rows[0]["ttl_ms"]) == (expected, expected)


async def test_it_runs_from_the_first_ready(stack: Stack) -> None:
    """Not before, and neither a blink nor a restart of the agent sets it anew."""
    await stack.engine(workspace_ttl=LONG)
    chat = str(uuid4())
    job = await stack.provisioner.job((await stack.create(chat)).build_id)
    agent = await stack.provisioner.build(job)
    await agent.tell("connected")
    await agent.tell("lifecycle", state="starting")
    await stack.decided()
    early = await ttl_at(stack, job)

    await agent.tell("lifecycle", state="ready")
    first = await stack.pushes.until(chat, "ready")
    set_at = await ttl_at(stack, job)
    await agent.tell("disconnected")
    again = await stack.provisioner.agent(job, own=True)
    again.id = agent.id
    await again.get_ready()
    await stack.pushes.until(chat, "ready", after=first["version"])
    ((ready_at,),) = await stack.sql("select ready_at from workspaced.builds where id = $1", job["build_id"])

    assert early is None
    assert set_at == await ttl_at(stack, job) == ready_at + LONG
    assert await scheduled(stack, job) == f"@at {set_at:%Y-%m-%dT%H:%M:%S.%fZ}"


async def test_its_end_stops_the_workspace(stack: Stack) -> None:
    """The engine requests the stop, whose cause is `ttl`; a start gives the next build a TTL of its own."""
    await stack.engine(workspace_ttl=SHORT)
    chat = str(uuid4())
    job, _ = await ready(stack, chat)
    stop = await stack.provisioner.job()
    push = await stack.pushes.until(chat, "idle")
    await stack.provisioner.build(stop)
    await stack.decided()
    start = await stack.provisioner.job((await stack.client.start(chat)).build_id)
    await stack.provisioner.bring_up(start)
    second = await stack.provisioner.job()

    assert (push["from"], push["cause"]["event"], push["snapshot"]["cause"]) == ("ready", "ttl", push["cause"])
    assert [one["transition"] for one in (stop, second)] == ["stop", "stop"]
    assert [one["build_number"] for one in (stop, second)] == [2, 4]
    snapshot = push["snapshot"]
    named = ("state", "deadline_at", "waiting_for", "build_id", "agent_id", "lifecycle", "agent", "failure")
    assert {name: snapshot[name] for name in named} == {
        "state": "idle",
        "deadline_at": None,
        "waiting_for": "stop",
        "build_id": stop["build_id"],
        "agent_id": None,
        "lifecycle": None,
        "agent": None,
        "failure": None,
    }
    assert snapshot["workspace"] | {"template_version_id": ""} == {
        "id": job["workspace"]["id"],
        "name": job["workspace"]["name"],
        "owner_id": stack.owner.id,
        "owner_name": "ada",
        "organization_id": ORGANIZATION,
        "template_id": job["template"]["id"],
        "template_version_id": "",
        "transition": "stop",
        "build_number": 2,
        "job_status": "pending",
        "deleted": False,
        "updated_to_active_version": False,
        "job_error": None,
        "next": None,
    }


USES: dict[str, tuple[Callable[[Stack, str], Awaitable[object]], str]] = {
    "touch": (lambda stack, chat: stack.client.touch(chat), "accepted"),
    "create": (lambda stack, chat: stack.create(chat), "exists"),
    "start": (lambda stack, chat: stack.client.start(chat), "exists"),
}


async def test_use_pushes_it_back(stack: Stack, subtests: pytest.Subtests) -> None:
    """In the row and in the timer's slot; the timer of before stops nothing, the one in force does."""
    await stack.engine(workspace_ttl=LONG)
    for name, (use, outcome) in USES.items():
        chat = str(uuid4())
        job, _ = await ready(stack, chat)
        before = await ttl_at(stack, job)
        asked = datetime.now(UTC)
        reply = await use(stack, chat)
        after = await ttl_at(stack, job)
        await goes_off(stack, job, before)
        stayed = (await stack.client.get(chat)).state
        # What was set last is in the slot, or the same a moment later when the timer of before had gone off.
        again = timer_message(SetTimer((after or asked) + timedelta(microseconds=1), WorkspaceExpiry(chat, asked)))
        slot = await scheduled(stack, job)
        await goes_off(stack, job, after)
        stop = await stack.provisioner.job()

        with subtests.test(name):
            assert getattr(reply, "outcome", None) == outcome
            assert before
            assert after
            assert before < asked + LONG <= after
            assert slot == (again.headers or {})[SCHEDULE]
            assert stayed == "ready"
            assert (stop["transition"], (await stack.client.get(chat)).state) == ("stop", "idle")
            assert await ttl_at(stack, job) is None


NO_USE = {
    "no workspace": (409, "no_workspace", "chat has no workspace; use create_workspace first"),
    "deleted": (409, "workspace_deleted", "workspace was deleted; use create_workspace to make a new one"),
    "creating": "exists",
    "stopping": "exists",
    "stopped": "exists",
    "without a TTL": "exists",
}


async def test_touch_where_nothing_runs(stack: Stack, subtests: pytest.Subtests) -> None:
    """Refused without a workspace; elsewhere nothing changes, and nothing is scheduled."""
    await stack.engine()
    without, creating, stopping, deleted = (str(uuid4()) for _ in range(4))
    await ready(stack, without)
    await stack.client.put_settings({"workspace_ttl": "8h"})
    await stack.create(creating)
    stopped_job, _ = await ready(stack, stopping)
    stop = await stack.provisioner.job((await stack.client.stop(stopping)).build_id)
    await ready(stack, deleted)
    delete = await stack.provisioner.job((await stack.client.delete(deleted)).build_id)
    await stack.provisioner.build(delete)
    await stack.decided()
    chats = {"no workspace": str(uuid4()), "deleted": deleted, "creating": creating, "without a TTL": without}
    found = {name: await touched(stack, chat) for name, chat in chats.items()}
    found["stopping"] = await touched(stack, stopping)
    await stack.provisioner.build(stop)
    await stack.decided()
    found["stopped"] = await touched(stack, stopping)

    for name, expected in NO_USE.items():
        with subtests.test(name):
            assert found[name] == expected
    assert await stack.sql("select from workspaced.workspaces where ttl_at is not null") == []
    assert await ttl_at(stack, stopped_job) is None


async def touched(stack: Stack, chat: str) -> str | tuple[int, str, str]:
    """Outcome or refusal of a touch."""
    try:
        return (await stack.client.touch(chat)).outcome
    except WorkspacedError as error:
        return error.status, error.code, str(error)


async def test_it_ends_with_its_build(stack: Stack, subtests: pytest.Subtests) -> None:
    """Its timer goes off for nothing then."""
    await stack.engine(workspace_ttl=LONG)
    for verb in ("stop", "restart", "delete"):
        chat = str(uuid4())
        job, _ = await ready(stack, chat)
        set_at = await ttl_at(stack, job)
        await getattr(stack.client, verb)(chat)
        builds = await stack.sql("select id from workspaced.builds")
        await goes_off(stack, job, set_at)
        with subtests.test(verb):
            assert await ttl_at(stack, job) is None
            assert await stack.sql("select id from workspaced.builds") == builds


async def test_it_survives_the_engine(stack: Stack) -> None:
    """What was over while no engine was there is over when the next one comes, whatever NATS has kept; once."""
    engine = await stack.engine(workspace_ttl=LONG)
    chat = str(uuid4())
    job, _ = await ready(stack, chat)
    await stack.stop(engine)
    await stack.sql("update workspaced.workspaces set ttl_at = ttl_at - interval '8 hours'")

    await stack.engine()
    await stack.engine()
    stop = await stack.provisioner.job()
    push = await stack.pushes.until(chat, "idle")
    await stack.decided()

    assert (stop["transition"], stop["workspace"]["id"]) == ("stop", job["workspace"]["id"])
    assert (push["from"], push["cause"]["event"]) == ("ready", "ttl")
    assert [row["transition"] for row in await stack.sql("select transition from workspaced.builds order by 1")] == [
        "start",
        "stop",
    ]
