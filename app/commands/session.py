"""A command's connection to the engine, and which chat it is about."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from workspaced.app.config import patience
from workspaced.app.sources import Sources
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import ChatList, ListRequest, WorkspaceEntry, WorkspaceList
from workspaced.bus.tokens import is_uuid
from workspaced.fsm.errors import BadRequest, NotFound
from workspaced.fsm.snapshot import Snapshot

T = TypeVar("T")
P = TypeVar("P", ChatList, WorkspaceList)

MOST: Final = 10_000
"""Chats or workspaces that one command looks at; larger places are asked by id, or over the bus."""
PAGE: Final = 500
SHOWN: Final = 5


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's work."""
    return asyncio.run(main)


@asynccontextmanager
async def open_client(sources: Sources, role: str = "chatd") -> AsyncIterator[WorkspacedClient]:
    """A client of the stack. Raises Unavailable with what to do when there is none."""
    login, chosen = sources.login(role), patience(sources)
    client = await WorkspacedClient.connect(
        login.url,
        **login.options(),
        limit=max(chosen.timeout, timedelta(seconds=1)),
        patience=chosen,
        tenant=sources.tenant,
    )
    async with client:
        yield client


async def find_chat(client: WorkspacedClient, wanted: str | None) -> str:
    """The id of the chat that is meant: a whole id, the beginning of an id or of a workspace's name, or the only one.

    Raises NotFound, and BadRequest when several are meant.
    """
    if wanted is not None and is_uuid(wanted.lower()):
        return wanted.lower()
    if wanted is None:
        found = [chat async for chat in all_chats(client) if has_workspace(chat)]
    else:
        found = [chat async for chat in all_chats(client) if _is_meant(chat, wanted)]
    if len(found) == 1:
        return found[0].chat_id
    if not found:
        raise NotFound(
            f"no chat's id and no workspace's name begins with {wanted!r}; see `workspaced ps --all`"
            if wanted
            else "no chat has a workspace; make one with `workspaced create`"
        )
    names = ", ".join(f"{chat.chat_id[:8]} ({chat.workspace.name if chat.workspace else ''})" for chat in found[:SHOWN])
    raise BadRequest(f"which chat? {names}{', …' if len(found) > SHOWN else ''}", field="chat")


async def all_chats(client: WorkspacedClient, query: ListRequest | None = None) -> AsyncIterator[Snapshot]:
    """Every chat that `query` lists, page by page."""
    async for page in _pages(client.list_chats, query):
        for chat in page.chats:
            yield chat


def has_workspace(chat: Snapshot) -> bool:
    """A live one."""
    return chat.workspace is not None and not chat.workspace.deleted


def _is_meant(chat: Snapshot, wanted: str) -> bool:
    wanted = wanted.lower()
    if chat.chat_id.startswith(wanted):
        return True
    workspace = chat.workspace
    if workspace is None or workspace.deleted:
        return False
    return f"{workspace.owner_name}/{workspace.name}".lower().startswith(wanted) or workspace.name.lower().startswith(
        wanted
    )


async def all_workspaces(client: WorkspacedClient, query: ListRequest | None = None) -> AsyncIterator[WorkspaceEntry]:
    """Every live workspace that `query` lists, page by page."""
    async for page in _pages(client.list_workspaces, query):
        for entry in page.workspaces:
            yield entry


async def _pages(read: Callable[[ListRequest], Awaitable[P]], query: ListRequest | None) -> AsyncIterator[P]:
    query = query or ListRequest()
    for _ in range(MOST // PAGE):
        page = await read(replace(query, limit=PAGE))
        yield page
        if page.next is None:
            return
        query = replace(query, after=page.next)


async def find_workspace(client: WorkspacedClient, wanted: str) -> str:
    """The id of the workspace that is meant: an id, or the name of a live one. Raises NotFound, BadRequest."""
    if is_uuid(wanted.lower()):
        return wanted.lower()
    found = [
        entry.id
        async for entry in all_workspaces(client)
        if wanted.lower() in {entry.name.lower(), f"{entry.owner_name}/{entry.name}".lower()}
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(
            f"no workspace is named {wanted!r}; see `workspaced ps --workspaces`", code="workspace_not_found"
        )
    raise BadRequest(f"{len(found)} workspaces are named {wanted!r}; give an id: {', '.join(found)}", field="workspace")
