"""How long a chat may stay in each waiting state (design.md section 2, domain.md 6.4)."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from workspaced.fsm.chat import Chat
from workspaced.fsm.durations import parse_duration
from workspaced.fsm.facts import Agent
from workspaced.fsm.settings import Settings
from workspaced.fsm.state import WAITING, State
from workspaced.fsm.template import Template


class Limits:
    """The deadlines in force for one template: its own where it has them, else the settings'."""

    def __init__(self, settings: Settings, template: Template | None, *, queued: bool = False) -> None:
        """Template deadlines are texts that were checked when the template was put. A build may be `queued` first."""
        self.settings = settings
        self.queued = queued
        self._own = template.deadlines if template else None

    def of(self, state: State) -> timedelta:
        """The configured length of `state`'s deadline."""
        if state is State.CREATING and self.queued:
            return self.settings.queue_deadline
        own = getattr(self._own, state.value, None)
        return parse_duration(own) if own else getattr(self.settings, f"{state.value}_deadline")


def span_of(state: State, agent: Agent | None, limits: Limits) -> timedelta:
    """How long the chat may stay in `state`: the grace for an agent that had been connected and was lost."""
    if state is State.CONNECTING and agent is not None and agent.first_connected_at is not None:
        return limits.settings.agent_inactive_grace
    return limits.of(state)


def with_deadline(chat: Chat, before: Chat, agent: Agent | None, limits: Limits, now: datetime) -> Chat:
    """`chat`, which has just entered its state from `before`, with that state's deadline (none where nothing waits).

    Back in starting after a lost link, what was left of the deadline goes on, unless the agent was restarted.
    """
    started_at = agent.started_at if agent else None
    left = chat.starting_left_ms
    if chat.state is State.CONNECTING:
        left = left_of_starting(before, now) if before.state is State.STARTING else left
    elif chat.state not in {State.STARTING, State.FAILED}:
        left = None
    if chat.state not in WAITING:
        return _set(chat, None, 0, left, chat.agent_started_at)
    span = span_of(chat.state, agent, limits)
    if chat.state is not State.STARTING:
        return _set(chat, now + span, _ms(span), left, chat.agent_started_at)
    goes_on = left is not None and started_at == chat.agent_started_at
    until = now + (timedelta(milliseconds=left or 0) if goes_on else span)
    return _set(chat, until, _ms(span), None, started_at)


def left_of_starting(chat: Chat, now: datetime) -> int | None:
    """Milliseconds left of the starting deadline at `now`."""
    return None if chat.deadline_at is None else max(0, _ms(chat.deadline_at - now))


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _set(chat: Chat, at: datetime | None, ms: int, left: int | None, started_at: datetime | None) -> Chat:
    return replace(
        chat,
        deadline_at=at,
        deadline_version=chat.version if at else 0,
        deadline_ms=ms,
        starting_left_ms=left,
        agent_started_at=started_at,
    )
