"""Ways to break each invariant of the audit by hand, in the database or in a stream."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.e2e.stack import Stack
from workspaced.bus.announce import timer_message
from workspaced.bus.look_up import last_of, remove
from workspaced.fsm.effects import ChatDeadline, SetTimer

READY, WAITING, FAILED = str(uuid4()), str(uuid4()), str(uuid4())
"""A chat that is ready, one whose job nobody takes, and one whose build failed."""

Break = Callable[[Stack], Awaitable[object]]


def _sql(*statements: str) -> Break:
    """Run them; `:ready`, `:waiting` and `:failed` are the chats' ids."""

    async def run(stack: Stack) -> None:
        for statement in statements:
            text = statement
            for name, chat in ((":ready", READY), (":waiting", WAITING), (":failed", FAILED)):
                text = text.replace(name, f"'{chat}'")
            await stack.sql(text)

    return run


async def _sequence_of(stack: Stack, message_id: str) -> int:
    kept = await stack.stored("CHATS")
    return next(number for number, push in enumerate(kept, 1) if push.headers["Nats-Msg-Id"] == message_id)


async def _lose_a_push(stack: Stack) -> None:
    assert await remove(stack.admin, "CHATS", await _sequence_of(stack, f"{READY}:3"))


async def _push_from_nowhere(stack: Stack) -> None:
    message_id = {"Nats-Msg-Id": f"{READY}:99"}
    await stack.admin.jetstream().publish(f"ws.chat.{READY}.failed", b"{}", headers=message_id)


async def _push_before_the_commit(stack: Stack) -> None:
    """What an engine leaves that publishes, loses its transaction and decides otherwise: the right push is refused."""
    message_id = {"Nats-Msg-Id": f"{WAITING}:2"}
    await stack.admin.jetstream().publish(f"ws.chat.{WAITING}.failed", b"{}", headers=message_id)
    await _sql(
        "update workspaced.chats set version = 2 where id = :waiting",
        """insert into workspaced.transitions
           select chat_id, 2, 'creating', 'creating', cause, at, input_id, input_key, snapshot, workspace_id,
               template_id, build_id, agent_id, failure, took_ms, effects, machine_version
           from workspaced.transitions where chat_id = :waiting""",
    )(stack)


async def _purge_jobs(stack: Stack) -> None:
    await stack.admin.jetstream().purge_stream("JOBS")


async def _queue_from_nowhere(stack: Stack) -> None:
    await stack.admin.jetstream().publish(f"ws.job.local.{uuid4()}", b"{}")


async def _lose_a_timer(stack: Stack) -> None:
    (slot,) = await last_of(stack.admin, "TIMERS", [f"ws.timer.chat.{WAITING}"])
    assert slot is not None
    assert await remove(stack.admin, "TIMERS", slot.sequence)


async def _lose_a_limit(stack: Stack) -> None:
    (build,) = await stack.sql("select job_id::text from workspaced.builds where completed_at is null")
    (slot,) = await last_of(stack.admin, "TIMERS", [f"ws.timer.job.{build['job_id']}"])
    assert slot is not None
    assert await remove(stack.admin, "TIMERS", slot.sequence)


async def _replace_a_timer(stack: Stack) -> None:
    """By that of an older version, as a replayed input would without a guard."""
    stale = timer_message(SetTimer(datetime.now(UTC) + timedelta(hours=1), ChatDeadline(WAITING, 0)))
    await stack.admin.jetstream().publish(stale.subject, stale.body, headers=stale.headers)


_KEY_OF_THE_FIRST = "(select input_key from workspaced.transitions where chat_id = :ready and version = 1)"
_SECOND_BUILD = """
    insert into workspaced.builds (id, workspace_id, build_number, transition, job_id, requested_at, provisioner,
        reported, started_at, completed_at)
    select gen_random_uuid(), workspace_id, 2, 'start', gen_random_uuid(), now(), 'local', 'running', now(), {}
    from workspaced.chats where id = :waiting
"""
_SECOND_WORKSPACE = """
    with made as (select * from workspaced.workspaces where id = (
        select workspace_id from workspaced.chats where id = :ready)
    ),
    twin as (
        insert into workspaced.workspaces (id, name, owner_id, owner_name, organization_id, template_id, created_at,
            name_released)
        select gen_random_uuid(), 'twin', owner_id, owner_name, organization_id, template_id, now(), true from made
        returning id
    )
    insert into workspaced.builds (id, workspace_id, build_number, transition, job_id, requested_at, provisioner,
        reported, completed_at, request_id)
    select gen_random_uuid(), twin.id, 1, 'start', gen_random_uuid(), now(), 'local', 'failed', now(), request_id
    from twin, workspaced.builds as b where b.workspace_id = (select id from made)
"""

BROKEN: list[tuple[str, str, Break]] = [
    ("versions_gap_free", "a gap", _sql("delete from workspaced.transitions where chat_id = :ready and version = 3")),
    (
        "versions_gap_free",
        "the first",
        _sql("delete from workspaced.transitions where chat_id = :ready and version = 1"),
    ),
    ("versions_gap_free", "the row", _sql("update workspaced.chats set version = version + 1 where id = :ready")),
    ("versions_gap_free", "all", _sql("delete from workspaced.transitions where chat_id = :ready")),
    (
        "chain_unbroken",
        "in between",
        _sql("update workspaced.transitions set from_state = 'idle' where chat_id = :ready and version = 3"),
    ),
    (
        "chain_unbroken",
        "at the beginning",
        _sql("update workspaced.transitions set from_state = 'failed' where chat_id = :ready and version = 1"),
    ),
    (
        "moves_legal",
        "building to ready",
        _sql("update workspaced.transitions set to_state = 'ready' where chat_id = :ready and from_state = 'building'"),
    ),
    (
        "input_applied_once",
        "with others in between",
        _sql(
            f"""update workspaced.transitions set input_key = {_KEY_OF_THE_FIRST}, at = (
                    select at from workspaced.transitions where chat_id = :ready and version = 1
                ) where chat_id = :ready and version = 3"""  # noqa: S608  # constants of ours
        ),
    ),
    (
        "input_applied_once",
        "twice in a row",
        _sql(
            f"""update workspaced.transitions set input_key = {_KEY_OF_THE_FIRST}
                where chat_id = :ready and version = 2"""  # noqa: S608  # constants of ours
        ),
    ),
    (
        "history_ends_in_row",
        "another state",
        _sql("update workspaced.chats set state = 'idle', failure = null where id = :failed"),
    ),
    (
        "history_ends_in_row",
        "another agent",
        _sql("update workspaced.chats set agent_id = gen_random_uuid() where id = :ready"),
    ),
    ("one_unfinished_build", "two", _sql("drop index workspaced.builds_unfinished", _SECOND_BUILD.format("null"))),
    ("one_unfinished_build", "an older one", _sql(_SECOND_BUILD.format("now()"))),
    ("one_workspace_per_create", "two", _sql(_SECOND_WORKSPACE)),
    (
        "one_workspace_per_create",
        "none",
        _sql("update workspaced.inputs set build_id = gen_random_uuid() where chat_id = :ready"),
    ),
    (
        "no_orphan_workspace",
        "left behind",
        _sql("update workspaced.chats set workspace_id = null, build_id = null where id = :failed"),
    ),
    (
        "deadline_in_row",
        "none",
        _sql(
            "alter table workspaced.chats drop constraint chats_waiting_has_deadline",
            "update workspaced.chats set deadline_at = null where id = :waiting",
        ),
    ),
    (
        "deadline_in_row",
        "of no version",
        _sql("update workspaced.chats set deadline_version = 0 where id = :waiting"),
    ),
    ("transition_pushed", "gone", _lose_a_push),
    ("transition_pushed", "another instead", _push_before_the_commit),
    ("push_has_transition", "of no version", _push_from_nowhere),
    ("push_has_transition", "to another state", _push_before_the_commit),
    ("pending_job_queued", "purged", _purge_jobs),
    ("queued_job_has_build", "unknown", _queue_from_nowhere),
    (
        "limits_kept",
        "one too many",
        _sql(
            "insert into workspaced.settings values ('builds_per_template', '1', now() - interval '1 hour')",
            "update workspaced.builds set completed_at = null",
        ),
    ),
    (
        "limits_kept",
        "of an owner",
        _sql(
            "insert into workspaced.settings values ('builds_per_owner', '1', now() - interval '1 hour')",
            "update workspaced.builds set completed_at = null",
        ),
    ),
    (
        "queue_moves",
        "there is room",
        _sql(
            "insert into workspaced.settings values ('builds_per_template', '1', now() - interval '1 hour')",
            """update workspaced.builds set queue = '{"place": 1, "of": "template", "limit": 1}'
               where completed_at is null""",
        ),
    ),
    ("deadline_in_timers", "gone", _lose_a_timer),
    ("deadline_in_timers", "an older one", _replace_a_timer),
    (
        "deadline_in_timers",
        "at another time",
        _sql("update workspaced.chats set deadline_at = deadline_at + interval '1 second' where id = :waiting"),
    ),
    ("limits_in_timers", "of a job", _lose_a_limit),
    (
        "limits_in_timers",
        "of another status",
        _sql("update workspaced.builds set started_at = now() where completed_at is null"),
    ),
    (
        "limits_in_timers",
        "of a TTL",
        _sql(
            """update workspaced.workspaces set ttl_at = now() + interval '1 hour'
               where id = (select workspace_id from workspaced.chats where id = :ready)"""
        ),
    ),
    (
        "at_rest_on_facts",
        "the agent is away",
        _sql("update workspaced.agents set disconnected_at = now(), gone = true"),
    ),
    (
        "at_rest_on_facts",
        "the job runs",
        _sql("update workspaced.builds set started_at = now() where completed_at is null"),
    ),
    (
        "bound_to_selected_agent",
        "another agent",
        _sql("update workspaced.chats set agent_id = gen_random_uuid() where id = :ready"),
    ),
    (
        "bound_to_selected_agent",
        "too early",
        _sql("update workspaced.chats set agent_id = gen_random_uuid() where id = :waiting"),
    ),
    (
        "bound_to_selected_agent",
        "no build",
        _sql("update workspaced.chats set build_id = null where id = :failed"),
    ),
    (
        "failure_fits_facts",
        "another code",
        _sql("""update workspaced.chats set failure = failure || '{"code": "startup_failed"}' where id = :failed"""),
    ),
    (
        "replay_gives_rows",
        "a fact of the workspace",
        _sql(
            """update workspaced.workspaces set was_ready = false
               where id = (select workspace_id from workspaced.chats where id = :ready)"""
        ),
    ),
    (
        "replay_gives_rows",
        "a fact of a build",
        _sql("update workspaced.builds set error = 'another one' where error <> ''"),
    ),
    ("replay_gives_rows", "a fact of an agent", _sql("update workspaced.agents set name = 'another'")),
]
"""(the invariant, how, what does it)."""
