"""What an agent says on the bus (domain.md section 10): who it is connected as, how far its scripts are, and ping.

An agent is alive while its connection is: it sends no heartbeats, the NATS server tells when it is gone. So the client
makes its own connection, names it after every connect, and makes another when that one is closed for good.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, Error

from workspaced.bus import cloud_events, subjects, tokens
from workspaced.bus.connection import kept, servers_of
from workspaced.bus.lasting_client import LastingClient
from workspaced.bus.moments import Moments
from workspaced.bus.until_stored import publish_until_stored
from workspaced.fsm.events import AgentConnected, AgentDisconnected, AgentEvent, LifecycleChanged
from workspaced.fsm.values import Connection, Lifecycle

CONNECT_LIMIT: Final = 5
FAREWELL_LIMIT: Final = 5.0
"""Seconds: for one attempt to connect, and for the last reports before the connection is closed."""

Observer = Callable[[str], None]


class _State(msgspec.Struct, frozen=True):
    """A lifecycle and when it was entered: told again unchanged, so that nobody takes it for a restart."""

    name: Lifecycle
    at: datetime
    exit_code: int | None


class _Asked(msgspec.Struct):
    at: datetime


class AgentClient:
    """One agent of one build. `connect` once, then `lifecycle` as the scripts go on, `close` at the end.

    Reports are stored in order, each by a retried publish; while NATS is away they wait. After a reconnect and on
    resync it says `connected` and its lifecycle again by itself.
    """

    def __init__(
        self,
        workspace_id: str,
        agent_id: str,
        build_id: str,
        *,
        restarted: bool = False,
        on_trouble: Observer | None = None,
        moments: Moments | None = None,
    ) -> None:
        """`restarted`: an earlier process was this agent, so this one's first lifecycle is told before `connected`.

        Else the earlier one's `ready` would count for a moment, with the new connection. `on_trouble` is told in one
        line what goes wrong with the connection. Raises BadRequest when an id is none.
        """
        self.agent_id = agent_id
        self.build_id = build_id
        self._kinds = {kind: subjects.agent_event(workspace_id, agent_id, kind) for kind in tokens.AGENT_KINDS}
        self._resyncs = {subjects.resync(), subjects.resync(workspace_id)}
        self._ping = subjects.ping(agent_id)
        self._source = cloud_events.agent(agent_id)
        self._on_trouble = on_trouble or (lambda _: None)
        self._moments = moments or Moments()
        self._nc = LastingClient()
        self._servers: list[str] = []
        self._options: dict[str, Any] = {}
        self._state: _State | None = None
        self._untold: deque[_State] = deque()
        self._telling = False
        """The first of the untold is on its way: who asks now is to get another one, for it may have been stored."""
        self._connected_untold = False
        self._restarted = restarted
        self._closing = False
        self._news = asyncio.Event()
        self._all_told = asyncio.Event()
        self._reporter: asyncio.Task[None] | None = None
        self._opener: asyncio.Task[None] | None = None
        self._farewell: asyncio.Task[None] | None = None

    @property
    def state(self) -> Lifecycle:
        """The newest lifecycle; `created` before the first report."""
        return self._state.name if self._state else "created"

    @property
    def connection(self) -> Connection | None:
        """The (server id, client id) that this agent is connected as, or None."""
        # The public ways to the server's id are a request that needs a permission of its own and a round trip; the
        # INFO line of the connection has both ids, and they belong together.
        info: dict[str, Any] = self._nc._server_info  # noqa: SLF001  # as above
        if not self._nc.is_connected or "client_id" not in info:
            return None
        return info["server_id"], info["client_id"]

    async def connect(self, servers: str | list[str], **options: Any) -> None:  # noqa: ANN401  # nats.connect's own
        """Connect to NATS and go on for ever; returns when connected. `options` are those of `nats.connect`.

        `servers` may name several of a cluster, as a list or with commas between.
        A server that is down or turns the agent away is tried again every half second, told to `on_trouble`.
        """
        self._servers = servers_of(servers) if isinstance(servers, str) else list(servers)
        self._options = options
        await self._open()

    def lifecycle(self, state: Lifecycle, exit_code: int | None = None) -> None:
        """Report that the scripts are at `state` (domain.md 10.2), in order; `flushed` waits until it is stored."""
        now = datetime.now(UTC)
        # The clock may be set back; what is reported never goes back.
        self._state = _State(state, max(now, self._state.at) if self._state else now, exit_code)
        self._untold.append(self._state)
        self._wake()

    async def flushed(self) -> None:
        """Wait until everything reported so far is stored."""
        await self._all_told.wait()

    async def close(self) -> None:
        """Tell what is left to tell and `disconnected`, for at most five seconds, then close.

        Without a connection nothing is told, nor once it is gone: the server has announced its end.
        """
        self._closing = True
        try:
            if connection := self.connection:
                self._farewell = asyncio.create_task(self._say_farewell(connection))
                await asyncio.wait({self._farewell}, timeout=FAREWELL_LIMIT)
        finally:
            for task in (self._farewell, self._reporter, self._opener):
                if task is not None:
                    task.cancel()
        await self._nc.close()

    async def _say_farewell(self, connection: Connection) -> None:
        with suppress(Error):
            await self.flushed()
            await self._store("disconnected", AgentDisconnected(*connection, **self._stamp()))

    async def _open(self) -> None:
        async def connected() -> None:
            self._report_anew()

        async def disconnected() -> None:
            # Else they go on into the library's buffer, which the next connection sends: in the name of this one.
            for speaker in (self._reporter, self._farewell):
                if speaker is not None:
                    speaker.cancel()

        async def closed() -> None:
            if not self._closing:  # for good, where `options` tell the library to give up
                self._on_trouble("NATS: the server closed the connection; connecting anew")
                self._opener = asyncio.create_task(self._open())

        async def trouble(error: Exception) -> None:
            self._on_trouble(f"NATS: {str(error) or type(error).__name__}")

        self._nc = LastingClient()
        await self._nc.connect(
            self._servers,
            reconnected_cb=connected,
            disconnected_cb=disconnected,
            closed_cb=closed,
            error_cb=trouble,
            **kept() | {"connect_timeout": CONNECT_LIMIT} | self._options,
        )
        with suppress(ConnectionClosedError):  # gone for good already: `closed` is connecting anew
            await self._nc.subscribe(self._ping, cb=self._on_ping)
            for subject in self._resyncs:
                await self._nc.subscribe(subject, cb=self._on_resync)
            self._report_anew()

    def _report_anew(self) -> None:
        """Start a reporter for the connection of now, which its reports name; the former one ends with its own."""
        if self._reporter is not None:
            self._reporter.cancel()
        self._say_again()
        if connection := self.connection:
            self._reporter = asyncio.create_task(self._report(connection))

    def _say_again(self) -> None:
        self._connected_untold = True
        if self._state is not None and len(self._untold) <= self._telling:
            self._untold.append(self._state)
        self._wake()

    def _wake(self) -> None:
        self._all_told.clear()
        self._news.set()

    async def _report(self, connection: Connection) -> None:
        while True:
            if self._untold and (self._restarted or not self._connected_untold):
                state = self._untold[0]
                self._telling = True
                try:
                    await self._store("lifecycle", LifecycleChanged(*connection, state.name, **self._stamp(state)))
                finally:
                    self._telling = False
                self._untold.popleft()
                self._restarted = False
            elif self._connected_untold:
                self._connected_untold = False  # first: a resync may come while it is stored
                await self._store("connected", AgentConnected(*connection, **self._stamp()))
            else:
                self._all_told.set()
                self._news.clear()
                await self._news.wait()

    def _stamp(self, state: _State | None = None) -> dict[str, Any]:
        """Make the fields that all reports have; one told again gets a new id, or the stream would drop it."""
        stamp: dict[str, Any] = {"id": str(uuid4()), "build_id": self.build_id, "at": datetime.now(UTC)}
        return stamp | {"at": state.at, "exit_code": state.exit_code} if state else stamp

    async def _store(self, kind: str, report: AgentEvent) -> None:
        await self._moments.reach(f"before_{kind}")
        named = cloud_events.reported(report, f"agent.{kind}", self._source)
        await publish_until_stored(self._nc, self._kinds[kind], msgspec.json.encode(report), named)
        await self._moments.reach(f"{kind}_told")

    async def _on_resync(self, msg: Msg) -> None:
        # An engine says when it asked. Another agent could make a server's answer arrive here, which does not.
        try:
            msgspec.json.decode(msg.data, type=_Asked)
        except (ValueError, RecursionError) as error:
            self._on_trouble(f"a resync cannot be read and is dropped: {type(error).__name__}")
            return
        self._say_again()

    async def _on_ping(self, msg: Msg) -> None:
        # Not the struct Pong: its module imports a third of the core, which every agent would pay for at its start.
        pong = {"agent_id": self.agent_id, "build_id": self.build_id, "lifecycle": self.state, "at": datetime.now(UTC)}
        with suppress(Error):
            await msg.respond(msgspec.json.encode(pong))
