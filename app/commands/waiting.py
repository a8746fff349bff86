"""Sends a command and shows how it goes: subscribe, read, send, then wait for the pushes. Nothing polls."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

from msgspec import Struct

from workspaced.app.progress import Progress
from workspaced.app.render import print_json, say, short
from workspaced.app.story import at_rest, note
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.bus.watch import Watch
from workspaced.fsm.errors import Conflict, NotFound, Unavailable
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

QUEUED_ATTEMPTS: Final = 5

_OUTCOMES: Final = {
    "accepted": "accepted",
    "attached": "it is on its way already",
    "exists": "there already",
    "stopped": "the workspace is stopped",
}


class Asked(Struct, frozen=True):
    """A command for one chat; `send` takes its request_id."""

    verb: str
    chat_id: str
    send: Callable[[str], Awaitable[Reply]]
    request_id: str | None = None


async def ask(client: WorkspacedClient, asked: Asked, *, wait: bool, as_json: bool) -> int:
    """Send it, show what happens until the chat is at rest (if `wait`), and return the exit code."""
    if not wait:
        return await _ask(asked, as_json=as_json)
    try:
        return await _ask_and_wait(client, asked, as_json=as_json)
    except asyncio.CancelledError:  # Ctrl-C
        print(f"it goes on: `workspaced watch {short(asked.chat_id)}`", file=sys.stderr)
        raise


async def _ask(asked: Asked, *, as_json: bool) -> int:
    reply = await _send(asked)
    if as_json:
        _print_reply(asked, reply, reply.snapshot)
    else:
        say(f"chat {asked.chat_id}: {_OUTCOMES.get(reply.outcome, reply.outcome)}")
    return 0


async def _ask_and_wait(client: WorkspacedClient, asked: Asked, *, as_json: bool) -> int:
    async with client.watch(asked.chat_id) as snapshots:
        before = await _current(client, asked.chat_id)
        with Progress(before, indent="  ", live=not as_json) as progress:
            reply = await _send(asked)
            if not as_json:
                say(f"chat {asked.chat_id}")
            last = await _until_rest(snapshots, reply, (lambda _: None) if as_json else progress.saw)
    done = _is_done(asked.verb, last)
    if as_json:
        _print_reply(asked, reply, last)
    else:
        say(f"{last.state}: {_closing(asked.verb, reply, last)}")
    return 0 if done else 1


async def _send(asked: Asked) -> Reply:
    """The reply. Raises Conflict for outcome `conflict`, and Unavailable when it stays `queued`."""
    request_id = asked.request_id or str(uuid4())
    for _ in range(QUEUED_ATTEMPTS):
        reply = await asked.send(request_id)
        if reply.outcome == "conflict":
            raise _in_the_way(reply)
        if reply.outcome != "queued":
            return reply
    raise Unavailable(
        "it is not decided yet, for the store is away or much has come at once; it is kept and will be done: "
        f"ask again with --request-id {request_id}"
    )


def _in_the_way(reply: Reply) -> Conflict:
    workspace = reply.snapshot.workspace if reply.snapshot else None
    what = f"a {workspace.transition} build" if workspace and workspace.transition else "another build"
    return Conflict(f"{what} is in the way, and nothing was changed; wait for its end and ask again", code="conflict")


async def _current(client: WorkspacedClient, chat_id: str) -> Snapshot | None:
    try:
        return await client.get(chat_id)
    except NotFound:
        return None


async def _until_rest(snapshots: Watch, reply: Reply, saw: Callable[[Snapshot], None]) -> Snapshot:
    """The snapshot at which the chat rests, not older than the reply."""
    version = reply.snapshot.version if reply.snapshot else 0
    async for snapshot in snapshots:
        saw(snapshot)
        if snapshot.version >= version and at_rest(snapshot):
            return snapshot
    raise AssertionError("a watch ends by an error only")


def _is_done(verb: str, last: Snapshot) -> bool:
    """Whether the chat is where `verb` was to bring it."""
    workspace = last.workspace
    match verb:
        case "create" | "start" | "restart":
            return last.state is State.READY
        case "stop":
            return workspace is not None and (workspace.transition, workspace.job_status) == ("stop", "succeeded")
        case "delete":
            return workspace is None or workspace.deleted
        case "cancel":
            return last.state is not State.READY
        case _:
            return last.state is not State.FAILED


def _closing(verb: str, reply: Reply, last: Snapshot) -> str:
    workspace = last.workspace
    name = f"workspace {workspace.owner_name}/{workspace.name}" if workspace else "no workspace"
    if last.state is State.READY:
        return f"{name}, {note(last)}" + ("; it was there already" if reply.outcome == "exists" else "")
    if last.state is State.FAILED:
        again = "; the same command may succeed" if last.failure and last.failure.retryable and verb != "cancel" else ""
        return f"{note(last)}{again}"
    hint = "; start it with `workspaced start`" if verb == "create" and reply.outcome == "stopped" else ""
    return f"{name}, {note(last)}{hint}"


def _print_reply(asked: Asked, reply: Reply, snapshot: Snapshot | None) -> None:
    body: dict[str, object] = {"chat_id": asked.chat_id, "outcome": reply.outcome}
    if reply.build_id is not None:
        body["build_id"] = reply.build_id
    if reply.replayed:
        body["replayed"] = True
    print_json(body | {"snapshot": snapshot})
