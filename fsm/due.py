"""What a timer that went off comes to: a chat's deadline, a workspace's TTL, a job's limit.

Timers of one slot replace each other in the order in which they are said, and what was decided first may be said last:
by an engine that was held up after its commit. So one of before that goes off arms the one in force anew.
"""

from datetime import datetime, timedelta

from workspaced.fsm.builds import Wish, begin_build, end_by_limit, end_queued
from workspaced.fsm.change import Effects, change, record
from workspaced.fsm.chat import Cause, Chat
from workspaced.fsm.effects import ChatDeadline, Due, JobLimit, SetTimer, WorkspaceExpiry
from workspaced.fsm.facts import Facts
from workspaced.fsm.inputs import Input
from workspaced.fsm.settle import Moment, settle
from workspaced.fsm.world import World


def deadline(world: World, item: Input, due: ChatDeadline) -> None:
    """The facts first, then the deadline's version, and only then the event; a stale deadline moves nothing."""
    chat = world.chats.get(due.chat_id)
    facts = world.facts_of(chat)
    if chat is None or facts is None:
        return
    first = len(world.said.transitions)
    moment = Moment(world.now, Cause("deadline", item.id, item.at), world.limits(facts))
    world.put_chat(chat, settle((chat, facts), chat, facts, moment), item)
    chat = world.chats[chat.id]
    if chat.deadline_at is None:
        return
    if chat.deadline_version == due.version:
        _expire(world, item, chat, facts, moment)
    elif due.version < chat.deadline_version and len(world.said.transitions) == first:
        _arm_again(world, item, chat.deadline_at, ChatDeadline(chat.id, chat.deadline_version))


def _expire(world: World, item: Input, chat: Chat, facts: Facts, moment: Moment) -> None:
    """The chat fails; a build that waits in the queue is ended, which fails all its chats."""
    ended = end_queued(world, facts)
    if ended is None:
        world.put_chat(chat, settle((chat, facts), chat, facts, moment, "expire"), item)
        return
    first = len(world.said.transitions)
    effects: Effects = []
    change(world, item, moment.cause, ended, effects)
    record(world, item, first, effects)


def expiry(world: World, item: Input, due: WorkspaceExpiry) -> None:
    """The workspace is stopped, unless its TTL was set anew meanwhile."""
    facts = world.facts.get(due.workspace_id)
    if facts is None or facts.workspace.ttl_at is None or facts.workspace.deleted or facts.in_flight:
        return
    ttl_at = facts.workspace.ttl_at
    if due.at != ttl_at:
        if due.at < ttl_at:
            _arm_again(world, item, ttl_at, WorkspaceExpiry(due.workspace_id, ttl_at))
        return
    first = len(world.said.transitions)
    stopping, begun = begin_build(world, facts, "stop", Wish(facts.workspace.owner_id))
    effects = list(begun)
    change(world, item, Cause("ttl", item.id, item.at), stopping, effects)
    record(world, item, first, effects)


def limit(world: World, item: Input, due: JobLimit) -> None:
    """The job is ended, unless it is over or has begun meanwhile (domain.md section 9)."""
    facts = world.facts.get(due.workspace_id)
    if facts is None:
        return
    planned = end_by_limit(world, facts, due)
    if planned is None:
        if due.status == "pending" and (at := _running_until(world, facts, due.job_id)) is not None:
            _arm_again(world, item, at, JobLimit(due.workspace_id, due.job_id, "running"))
        return
    first = len(world.said.transitions)
    ended, told = planned
    effects = list(told)
    change(world, item, Cause("limit", item.id, item.at), ended, effects)
    record(world, item, first, effects)


def _running_until(world: World, facts: Facts, job_id: str) -> datetime | None:
    build = facts.build
    if build is None or build.job_id != job_id or not facts.in_flight or build.started_at is None:
        return None
    return build.started_at + world.settings.job_running_limit


def _arm_again(world: World, item: Input, at: datetime, due: Due) -> None:
    """Set the timer in force once more; by a moment later, which makes it another message than the stream has seen."""
    record(world, item, len(world.said.transitions), [SetTimer(at + timedelta(microseconds=1), due)])
