"""Whether the stored facts reproduce each chat's state: the core is asked again, and must have nothing to add."""

from collections.abc import Callable
from typing import Final

from workspaced.fsm.chat import Chat, Failure, FailureCode
from workspaced.fsm.facts import Facts
from workspaced.fsm.failures import told_anew
from workspaced.fsm.machine import advance
from workspaced.fsm.reach import Reach, reach, selected_agent
from workspaced.fsm.settle import guards
from workspaced.fsm.state import State
from workspaced.store.audit import MOST, Found
from workspaced.store.postgres import PostgresStore

PAGE: Final = 500

_BOUND: Final = frozenset({State.CONNECTING, State.STARTING, State.READY})
_UNBOUND: Final = frozenset({State.IDLE, State.CREATING, State.BUILDING, State.BINDING})

_OVER: Final = frozenset({Reach.UNTAKEN, Reach.BROKEN})
_FITS: Final[dict[FailureCode, frozenset[Reach]]] = {
    "job_not_taken": frozenset({Reach.PENDING}),
    "build_timeout": frozenset({Reach.RUNNING}),
    "agents_unknown": frozenset({Reach.BUILT}),
    "no_agent": frozenset({Reach.NO_AGENT}),
    "selection_error": frozenset({Reach.AMBIGUOUS}),
    "agent_not_connected": frozenset({Reach.AWAY}),
    "agent_disconnected": frozenset({Reach.AWAY}),
    # An agent that is lost after its chat failed does not change the failure (domain.md 6.4).
    "startup_timeout": frozenset({Reach.STARTING, Reach.AWAY}),
    "startup_failed": frozenset({Reach.UNWELL, Reach.AWAY}),
    # The engine may end a job by a limit, and its provisioner's own end still counts (domain.md 6.1), but a failed
    # build does not heal.
    "build_failed": _OVER | {each for each in Reach if each >= Reach.BUILT},
    "build_canceled": _OVER,
    "insufficient_quota": _OVER,
    "queue_timeout": _OVER,
}
"""How far the facts may have come while a chat rests in failed with that code."""


async def check_facts(dsn: str, tell: Callable[[str, int, int], None]) -> dict[str, list[Found]]:
    """All chats, page by page, each page of one moment. Raises Unavailable."""
    found: dict[str, list[Found]] = {
        "at_rest_on_facts": [],
        "bound_to_selected_agent": [],
        "failure_fits_facts": [],
    }
    store = PostgresStore(dsn, pool_size=1)
    await store.open()
    try:
        done, after = 0, None
        while True:
            page, after = await store.chats(limit=PAGE, after=after)
            for chat, facts in page:
                for name, detail in faults_of(chat, facts).items():
                    found[name].append(Found({"chat_id": chat.id}, detail))
            done += len(page)
            tell("facts", done, done + (PAGE if after else 0))
            if after is None or any(len(faults) >= MOST for faults in found.values()):
                return {name: faults[:MOST] for name, faults in found.items()}
    finally:
        await store.close()


def faults_of(chat: Chat, facts: Facts | None) -> dict[str, str]:
    """By the name of the invariant, how the chat differs from what the core makes of the facts."""
    faults = {}
    if path := advance(chat.state, "observe", guards(chat, facts)):
        faults["at_rest_on_facts"] = f"{chat.state}, but the facts lead to {' and '.join(path)}"
    if wrong := _binding(chat, facts):
        faults["bound_to_selected_agent"] = wrong
    if wrong := _failure(chat, facts):
        faults["failure_fits_facts"] = wrong
    return faults


def _binding(chat: Chat, facts: Facts | None) -> str | None:
    agent = selected_agent(facts) if facts else None
    selected = agent.id if agent else None
    latest = facts.build.id if facts and facts.build and not facts.workspace.deleted else None
    if chat.build_id != latest:
        return f"build {chat.build_id}, but the latest is {latest}"
    if chat.state in _BOUND and chat.agent_id != selected:
        return f"{chat.state} with agent {chat.agent_id}, but {selected} is selected"
    if chat.state in _UNBOUND and chat.agent_id is not None:
        return f"{chat.state} with agent {chat.agent_id}"
    if chat.agent_id not in {None, selected}:
        return f"agent {chat.agent_id}, but {selected} is selected"
    return None


def _failure(chat: Chat, facts: Facts | None) -> str | None:
    failure: Failure | None = chat.failure
    if (chat.state is State.FAILED) != (failure is not None):
        return f"{chat.state} with failure {failure.code if failure else None}"
    if failure is None:
        return None
    so_far = reach(facts)
    if so_far not in _FITS[failure.code]:
        return f"{failure.code}, but the facts have come to {so_far.name}"
    if facts is not None and (anew := told_anew(failure, facts)) != failure:
        return f"{failure.code}, but the core would tell {anew.code}"
    return None
