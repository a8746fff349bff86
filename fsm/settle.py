"""Runs one chat's machine over the facts until it rests, and says what became of the chat at each step."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from workspaced.fsm.chat import Cause, Chat, Failure
from workspaced.fsm.deadlines import Limits, span_of, with_deadline
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.facts import Agent, Facts, agent_link, job_status
from workspaced.fsm.failures import heals, stopped_short, timed_out, told_anew, was_restarted
from workspaced.fsm.machine import Guards, Heals, advance
from workspaced.fsm.reach import Reach, reach, selected_agent
from workspaced.fsm.snapshot import first_agent
from workspaced.fsm.state import State

Event = Literal["observe", "expire", "retry"]


class Moment(Struct, frozen=True):
    """When and why the machine runs, and the limits in force."""

    now: datetime
    cause: Cause
    limits: Limits


def settle(
    announced: tuple[Chat, Facts | None], chat: Chat, facts: Facts | None, moment: Moment, event: Event = "observe"
) -> list[Chat]:
    """The chat after each of its transitions, in order; empty when nothing about it changed.

    `announced` is the chat as its last transition told it, with the facts of then; `chat` is the same row, perhaps
    bound to another workspace since, and `facts` are those of the workspace it is bound to now.
    A change that keeps the state but alters binding, job status, `next`, lifecycle, link or deadline is a transition
    from the state to itself (domain.md section 1, announcements). Raises NotAllowed for an `expire` or `retry` out of
    place.
    """
    steps: list[Chat] = []
    step = chat
    for state in advance(chat.state, event, guards(chat, facts)):
        step = _enter(state, step, facts, moment, expired=event == "expire" and not steps)
        steps.append(step)
    return steps or _announce(announced, _look_again(chat, announced[1], facts, moment), facts, moment)


def _announce(announced: tuple[Chat, Facts | None], chat: Chat, facts: Facts | None, moment: Moment) -> list[Chat]:
    """A chat that stays where it is, once more if anything that is shown has changed; a new one in any case."""
    before, seen = announced
    # Two inputs of one batch have one `now`: a restarted agent's new deadline may look like the one before.
    renewed = (chat.deadline_at, chat.agent_started_at) != (before.deadline_at, before.agent_started_at)
    if before.version and not renewed and shown(chat, facts, moment.now) == shown(before, seen, moment.now):
        return []
    version = before.version + 1
    return [
        replace(
            chat,
            version=version,
            cause=moment.cause,
            entered_at=before.entered_at or moment.now,
            deadline_version=version if renewed else chat.deadline_version,
        )
    ]


def guards(chat: Chat, facts: Facts | None) -> Guards:
    """The facts as the machine sees them from where the chat stands."""
    if facts is None:
        return Guards(Reach.NONE)
    so_far = reach(facts)
    fresh = so_far is not Reach.NONE and facts.build is not None and facts.build.id != chat.build_id
    return Guards(so_far, fresh, heals(chat, selected_agent(facts)) if chat.state is State.FAILED else Heals.NO)


def shown(chat: Chat, facts: Facts | None, now: datetime) -> tuple[object, ...]:
    """What of a snapshot makes an announcement when it changes. Time alone never does."""
    bound = facts.agent(chat.agent_id) if facts else None
    agent = bound or first_agent(chat, facts)
    build = facts.build if facts else None
    return (
        chat.workspace_id,
        chat.build_id,
        chat.agent_id,
        facts.workspace.deleted if facts else None,
        facts.workspace.next if facts else None,
        build.id if build else None,
        job_status(build) if build else None,
        build.queue if build else None,
        bound.lifecycle if bound else None,
        agent_link(agent, now, timedelta(0)) if agent else None,
    )


def _enter(state: State, before: Chat, facts: Facts | None, moment: Moment, *, expired: bool) -> Chat:
    agent = selected_agent(facts) if facts else None
    chat = replace(
        before,
        version=before.version + 1,
        state=state,
        entered_at=moment.now,
        cause=moment.cause,
        failure=_failure(before, facts, expired=expired) if state is State.FAILED else None,
    )
    chat = _bind(chat, before, facts, agent)
    return with_deadline(chat, before, agent, moment.limits, moment.now)


def _failure(before: Chat, facts: Facts | None, *, expired: bool) -> Failure:
    if facts is None:  # without a workspace the machine knows only idle
        raise WorkspacedError
    return timed_out(before, facts) if expired else stopped_short(before.state, facts)


def _bind(chat: Chat, before: Chat, facts: Facts | None, agent: Agent | None) -> Chat:
    """The triple, written as one value by the transition that leaves binding (domain.md 7.2)."""
    if chat.state in {State.IDLE, State.CREATING}:
        return replace(chat, build_id=_latest(facts), agent_id=None)
    if before.state is State.BINDING and chat.state is State.CONNECTING and agent is not None:
        return replace(chat, build_id=_latest(facts), agent_id=agent.id)
    return chat


def _latest(facts: Facts | None) -> str | None:
    return None if facts is None or facts.build is None or facts.workspace.deleted else facts.build.id


def _look_again(chat: Chat, seen: Facts | None, facts: Facts | None, moment: Moment) -> Chat:
    """A chat that stays where it is: idle follows the latest build, a turn or a restarted agent sets a new deadline."""
    if chat.state is State.IDLE:
        return replace(chat, build_id=_latest(facts))
    if chat.failure is not None and facts is not None:
        return replace(chat, failure=told_anew(chat.failure, facts))
    if chat.state is State.CREATING and _queued(seen) and not _queued(facts):
        return _until(chat, moment.limits.of(State.CREATING), moment.now)
    agent = selected_agent(facts) if facts else None
    if chat.state is not State.STARTING or agent is None or agent.started_at == chat.agent_started_at:
        return chat
    if not was_restarted(chat.agent_started_at, agent):
        return replace(chat, agent_started_at=agent.started_at)
    span = span_of(State.STARTING, agent, moment.limits)
    return _until(replace(chat, agent_started_at=agent.started_at), span, moment.now)


def _until(chat: Chat, span: timedelta, now: datetime) -> Chat:
    return replace(chat, deadline_at=now + span, deadline_ms=span // timedelta(milliseconds=1))


def _queued(facts: Facts | None) -> bool:
    return facts is not None and facts.build is not None and facts.build.queue is not None
