"""Facts put together from rows, and pages cut from lists that hold one row too many."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import Agent, Build, Facts, Workspace
from workspaced.store.port import ChatPage, WorkspacePage

Row = TypeVar("Row")


def facts_of(workspaces: Iterable[Workspace], builds: Iterable[Build], agents: Iterable[Agent]) -> dict[str, Facts]:
    """Facts by workspace id; `builds` are the latest ones and `agents` theirs."""
    latest = {build.workspace_id: build for build in builds}
    inside: dict[str, list[Agent]] = defaultdict(list)
    for agent in agents:
        inside[agent.workspace_id].append(agent)
    return {row.id: Facts(row, latest.get(row.id), tuple(inside[row.id])) for row in workspaces}


def cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], Row | None]:
    """The first `limit` rows, and the last of them when there are more."""
    page = rows[:limit]
    return page, (page[-1] if page and len(rows) > limit else None)


def chat_page(chats: Sequence[Chat], facts: dict[str, Facts], limit: int) -> ChatPage:
    """The page of `chats`, which are sorted by id and may be one more than `limit`."""
    page, last = cut(chats, limit)
    return [(chat, facts.get(chat.workspace_id or "")) for chat in page], last.id if last else None


def workspace_page(facts: Sequence[Facts], chats: Iterable[Chat], limit: int) -> WorkspacePage:
    """The page of `facts`, which are sorted by id and may be one more than `limit`; `chats` are bound to them."""
    bound: dict[str | None, list[str]] = defaultdict(list)
    for chat in chats:
        bound[chat.workspace_id].append(chat.id)
    page, last = cut(facts, limit)
    return [(row, tuple(sorted(bound[row.workspace.id]))) for row in page], last.workspace.id if last else None
