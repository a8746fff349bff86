"""The demo's story of one chat."""

import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

from workspaced.app.config import WORKSPACES
from workspaced.app.history import print_history, whole_history
from workspaced.app.progress import Progress
from workspaced.app.render import say, title
from workspaced.app.stack import Stack
from workspaced.app.story import at_rest
from workspaced.app.template_names import with_known_ids
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.bus.watch import Watch
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.provisioners import processes
from workspaced.provisioners.local.folder import Folder

NAME: Final = "demo"
STARTUP_SCRIPT: Final = """\
set -eu
echo "$PARAM_GREETING from $WORKSPACED_WORKSPACE_NAME" >> visits.txt
sleep 0.3
"""

Seen = Callable[[Snapshot], bool]


class Story:
    """One chat's."""

    def __init__(self, stack: Stack, client: WorkspacedClient) -> None:
        self._stack, self._client = stack, client
        self._chat = str(uuid4())
        self._workspace = ""
        self._latest: Snapshot | None = None

    async def tell(self) -> None:
        """From no workspace to ready, and back. Raises WorkspacedError when it does not go as told."""
        template = await self._put_template()
        async with self._client.watch(self._chat) as snapshots:
            created = await self._act("create a workspace for a chat", snapshots, self._create(template))
            self._workspace = _workspace_of(created)
            self._show_folder()
            await self._ask_again(template)
            await self._act("stop it", snapshots, lambda: self._client.stop(self._chat))
            await self._act("start it again", snapshots, lambda: self._client.start(self._chat))
            await self._kill_agent(snapshots)
            await self._act("delete it", snapshots, lambda: self._client.delete(self._chat))
        title("what Postgres kept of it")
        print_history(await whole_history(self._client, self._chat))

    def _create(self, template_id: str) -> Callable[[], Awaitable[Reply]]:
        identity = self._stack.identity
        return lambda: self._client.create(
            self._chat,
            owner=identity.owner,
            organization_id=identity.organization_id,
            template_id=template_id,
            parameters={"greeting": "good morning"},
        )

    async def _put_template(self) -> str:
        template: dict[str, Any] = {
            "organization_id": self._stack.identity.organization_id,
            "name": NAME,
            "source": {"startup_script": STARTUP_SCRIPT},
            "parameters": [{"name": "greeting", "default": "hello"}],
        }
        reply = await self._client.put_template(await with_known_ids(self._client, template))
        title("a template")
        say(f"  {reply.template.name}, whose startup script takes 0.3 s")
        return reply.template.id

    async def _act(self, what: str, snapshots: Watch, send: Callable[[], Awaitable[Reply]]) -> Snapshot:
        """Send a command, and show every push until the chat is at rest."""
        title(what)
        with Progress(self._latest, indent="  ") as progress:
            reply = await send()
            version = reply.snapshot.version if reply.snapshot else 0
            return await self._follow(snapshots, progress, lambda chat: chat.version >= version and at_rest(chat))

    async def _follow(self, snapshots: Watch, progress: Progress, until: Seen) -> Snapshot:
        async for snapshot in snapshots:
            progress.saw(snapshot)
            self._latest = snapshot
            if snapshot.state is State.FAILED and at_rest(snapshot):
                raise WorkspacedError(f"the demo's workspace failed: {snapshot.failure}")
            if until(snapshot):
                return snapshot
        raise AssertionError("a watch ends by an error only")

    async def _ask_again(self, template_id: str) -> None:
        title("ask again for the same chat")
        began = time.monotonic()
        reply = await self._create(template_id)()
        took_ms = (time.monotonic() - began) * 1000
        if reply.outcome != "exists" or _workspace_of(reply.snapshot) != self._workspace:
            raise WorkspacedError(f"asked again, and the answer was {reply.outcome}")
        say(f"  {took_ms:6.0f} ms  {reply.outcome}: the same workspace {self._workspace}")

    async def _kill_agent(self, snapshots: Watch) -> None:
        record = self._folder().record()
        pid = record.agents[0].pid if record and record.agents else None
        if pid is None:
            raise WorkspacedError("agent.json names no process")
        title(f"kill -9 {pid}, its agent")

        def back(chat: Snapshot) -> bool:
            # By its own word; the link alone makes it ready too, for a moment: what is known of its scripts is old.
            return chat.state is State.READY and chat.cause is not None and chat.cause.event == "agent.lifecycle"

        with Progress(self._latest, indent="  ") as progress:
            os.kill(pid, signal.SIGKILL)
            await self._follow(snapshots, progress, back)

    def processes(self) -> list[processes.Process]:
        """Whatever runs in the workspace, or was left by it."""
        return processes.carrying("WORKSPACED_WORKSPACE_ID", self._workspace)

    def _show_folder(self) -> None:
        written = (self._folder().path / "visits.txt").read_text().strip()
        say(f"  the script wrote: {written}")

    def _folder(self) -> Folder:
        return Folder(self._stack.folder / WORKSPACES, self._workspace)


def _workspace_of(snapshot: Snapshot | None) -> str:
    if snapshot is None or snapshot.workspace is None:
        raise WorkspacedError("the chat has no workspace")
    return snapshot.workspace.id
