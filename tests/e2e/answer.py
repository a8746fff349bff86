"""What a command comes to on the real servers, as one object: its reply, and all that it moved, built and wrote."""

import json
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from tests.e2e.pushes import Push
from tests.e2e.scene import Scene
from tests.e2e.stack import Stack
from workspaced.bus.messages import Reply
from workspaced.fsm.facts import IN_FLIGHT
from workspaced.fsm.snapshot import Snapshot

Job = tuple[str, int, str]
"""Transition, build number, workspace id."""


class Answer(NamedTuple):
    """A command's answer, and what came of it. Snapshots are without `typical`, which other chats' times make."""

    before: Snapshot | None
    """The chat before the command."""
    reply: Reply
    now: Snapshot | None
    """The chat as it is kept after it."""
    pushed: Snapshot | None
    """The chat as it was announced last."""
    moves: list[tuple[str, str, str]]
    """(from, to, cause) of the transitions that it made."""
    jobs: list[Job]
    """Those that were published for it, sorted."""
    changed: list[str]
    """The tables in which rows of this owner changed."""

    @property
    def told(self) -> Snapshot:
        """The reply's snapshot."""
        assert self.reply.snapshot is not None
        return self.reply.snapshot


async def ask(scene: Scene, verb: str, **fields: Any) -> Answer:  # noqa: ANN401  # any field of the command
    """Send a command, and gather what came of it. What it raises is not caught."""
    before, rows = _plain(await scene.look()), await rows_of(scene)
    reply = await scene.ask(verb, **fields)
    now, rows_now = _plain(await scene.look()), await rows_of(scene)
    after = before.version if before else 0
    made = (await scene.stack.client.history(scene.chat_id, after_version=after)).transitions if now else ()
    built = [row["id"] for row in rows_now["builds"] if row["id"] not in {old["id"] for old in rows["builds"]}]
    return Answer(
        before=before,
        reply=replace(reply, snapshot=_plain(reply.snapshot)),
        now=now,
        pushed=await _pushed(scene, now),
        moves=[(move.from_state, move.to_state, move.cause.event) for move in made],
        jobs=sorted([_job(await scene.job_of(build_id)) for build_id in built]),
        changed=sorted(table for table, kept in rows_now.items() if kept != rows[table]),
    )


def unchanged(answer: Answer, outcome: Any) -> Answer:  # noqa: ANN401  # a word of Outcome
    """What `answer` has to be where the command does nothing: what is there, and the build in flight."""
    before = answer.before
    return Answer(before, Reply(outcome, before, in_flight(before)), before, before, [], [], [])


def in_flight(chat: Snapshot | None) -> str | None:
    """The build that whoever asks this chat's workspace waits for."""
    return chat.build_id if chat and chat.workspace and chat.workspace.job_status in IN_FLIGHT else None


def moved(answer: Answer, verb: str, **fields: Any) -> Answer:  # noqa: ANN401  # any field of a snapshot
    """What `answer` has to be where the chat made one move, to `fields`; nothing but the chat is written.

    The moment of the move, and the message that caused it, are its own.
    """
    before, told = answer.before, answer.told
    assert before is not None
    assert told.cause is not None
    own: dict[str, Any] = {
        "version": before.version + 1,
        "entered_at": told.entered_at,
        "cause": replace(told.cause, event=verb),
        "failure": None,
    }
    after = replace(before, **own | fields)
    return Answer(
        before=before,
        reply=Reply("attached", after, in_flight(before)),
        now=after,
        pushed=after,
        moves=[(before.state, after.state, verb)],
        jobs=[],
        changed=["chats"],
    )


async def only_what_was_asked(stack: Stack) -> None:
    """No job was ever published without a build, and no build made without its job; nothing is dead."""
    jobs = (await stack.admin.jetstream().stream_info("JOBS")).state.last_seq
    ((builds,),) = await stack.sql("select count(*) from workspaced.builds")
    assert jobs == builds
    assert await stack.stored("DEAD") == []


async def rows_of(scene: Scene) -> dict[str, Any]:
    """All rows of the owner, by table."""
    ((kept,),) = await scene.stack.sql(
        """
        with mine as (select id from workspaced.workspaces where owner_id = $1)
        select jsonb_build_object(
            'agents', (select jsonb_agg(a order by id) from workspaced.agents a where workspace_id in (table mine)),
            'builds', (select jsonb_agg(b order by requested_at, transition) from workspaced.builds b
                where workspace_id in (table mine)),
            'chats', (select jsonb_agg(c order by id) from workspaced.chats c where owner_id = $1),
            'workspaces', (select jsonb_agg(w order by id) from workspaced.workspaces w where owner_id = $1)
        )
        """,
        scene.owner.id,
    )
    return {table: rows or [] for table, rows in json.loads(kept).items()}


async def _pushed(scene: Scene, now: Snapshot | None) -> Snapshot | None:
    """The newest announcement; each version before it was announced once, in order."""
    if now is None:
        return None
    version = now.version

    def newest(push: Push) -> bool:
        return bool(push["version"] == version)

    push = await scene.stack.pushes.until(scene.chat_id, newest)
    assert scene.stack.pushes.versions(scene.chat_id) == list(range(1, version + 1))
    return _plain(msgspec.convert(push["snapshot"], Snapshot))


def _job(body: dict[str, Any]) -> Job:
    return body["transition"], body["build_number"], body["workspace"]["id"]


def _plain(chat: Snapshot | None) -> Snapshot | None:
    return replace(chat, typical=None) if chat else None
