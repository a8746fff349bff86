"""Sending the commands of one tool call and following the chat's transitions: the only place that waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Literal, Self

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.fsm.errors import Unavailable
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.tools import texts
from workspaced.tools.call import ToolCall

if TYPE_CHECKING:
    from workspaced.bus.clock import Alarm

AT_REST: Final = (State.READY, State.FAILED, State.IDLE)
OVER: Final = ("succeeded", "failed", "canceled")

End = Literal["succeeded", "failed", "superseded", "unknown"]
"""How a build ended; `superseded`: a newer one has begun, so it is over; `unknown`: nobody waited so long."""


class Session:
    """`async with` it: the chat is watched from before the first command on, so no transition is missed.

    The caller stops waiting when `tool_wait` is over or its task is canceled during a wait; then `stopped` is true, the
    newest snapshot is what there is to tell, and the machine goes on.
    """

    def __init__(self, call: ToolCall, client: WorkspacedClient) -> None:
        self._call, self.client = call, client
        self._watch = client.watch(call.chat_id, current=False)  # the first reply tells where the chat is
        self._scope: asyncio.Timeout | None = None
        self._alarm: Alarm
        self._sent = 0
        self._newest: Snapshot | None = None
        self.stopped = False

    async def __aenter__(self) -> Self:
        self._alarm = self._call.clock.call_later(self._call.settings.tool_wait.total_seconds(), self._end)
        try:
            await self._watch.__aenter__()
        except BaseException:
            self._alarm.cancel()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._alarm.cancel()
        await self._watch.__aexit__(None, None, None)

    @property
    def newest(self) -> Snapshot:
        """The chat as it was last heard of, never older than the last reply."""
        if self._newest is None:
            raise Unavailable(texts.QUEUED)
        return self._newest

    async def send(self, command: Callable[[str], Awaitable[Reply]]) -> Reply:
        """The reply to the call's next command, which is given its request_id. Raises what the engine raises."""
        self._sent += 1
        request_id = self._call.request_id(self._sent)
        for _ in range(self._call.settings.request_attempts):
            reply = await command(request_id)
            if reply.snapshot is not None:
                if self._newest is None or reply.snapshot.version >= self._newest.version:
                    self._newest = reply.snapshot
                return reply
        raise Unavailable(texts.QUEUED)

    async def rest(self) -> Snapshot:
        """The snapshot at the end of a wait for ready: ready, failed or idle, or whatever it is when `stopped`."""
        await self._until(lambda snapshot: snapshot.state in AT_REST)
        return self.newest

    async def build_over(self, build_id: str | None) -> End:
        """How the build ended, which was the latest one at the last reply."""

        def over(snapshot: Snapshot) -> bool:
            workspace = snapshot.workspace
            return snapshot.build_id != build_id or workspace is None or workspace.job_status in OVER

        await self._until(over)
        workspace = self.newest.workspace
        if not over(self.newest):
            return "unknown"
        if self.newest.build_id != build_id or workspace is None:
            return "superseded"  # a delete that succeeded, too: there is no latest build any more
        return "succeeded" if workspace.job_status == "succeeded" else "failed"

    async def _until(self, decisive: Callable[[Snapshot], bool]) -> None:
        while not self.stopped and not decisive(self.newest):
            snapshot = await self._next()
            # Who stops waiting is told the newest there is, also what came in the same moment.
            for came in self._watch.waiting() if snapshot is None else [snapshot]:
                if came.version > self.newest.version:
                    self._newest = came

    async def _next(self) -> Snapshot | None:
        try:
            async with asyncio.timeout(None) as self._scope:
                return await anext(self._watch)
        except (TimeoutError, asyncio.CancelledError):  # the turn was interrupted: it is answered all the same
            self.stopped = True
            return None
        finally:
            self._scope = None

    def _end(self) -> None:
        self.stopped = True
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())
