"""Reaching a chat's agent by what is held of it; the engine is asked when that fails or takes long (domain.md 8).

with await dialer.dial(chat_id) as agent:
    agent.connection.lifecycle
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from workspaced.bus.attempt import Attempt, Connector, Release
from workspaced.bus.background import Background
from workspaced.bus.binding import Binding, binding_of, external_away, unbound, why_timed_out
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.clock import Clock, Limit, LoopClock
from workspaced.bus.dial_errors import (
    ConnectorMissing,
    DialError,
    DialFailed,
    DialTimeout,
    ExternalAgentAway,
    WorkspaceChanged,
)
from workspaced.bus.dial_settings import DialSettings, Engine, never
from workspaced.bus.held import Held
from workspaced.bus.holdings import Call, Holdings
from workspaced.bus.lazy_dial import LazyDial
from workspaced.bus.lent import Borrowed, Shared
from workspaced.bus.messages import Pong
from workspaced.bus.ping import PingConnector
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.snapshot import Snapshot

C = TypeVar("C")

REASON_LENGTH = 4096
"""Characters of a reason that the engine takes."""


class Dialer(Generic[C]):
    """Dials for any number of chats over one client; `close` it before the client."""

    def __init__(
        self,
        client: Engine,
        connector: Connector[C] | None = None,
        *,
        settings: DialSettings | None = None,
        clock: Clock | None = None,
        on_rebound: Callable[[Snapshot], None] = lambda _: None,
        has_ttl: Callable[[Snapshot], bool] = never,
    ) -> None:
        """`on_rebound` hears of a push with another agent than the chat's last one: its context is to be read again.

        `has_ttl` tells which workspaces are `touch`ed when they are used; it must be quick and must not raise.
        """
        self._client, self._connector = client, connector
        self._settings, self._clock = settings or DialSettings(), clock or LoopClock()
        self._delay = self._settings.dial_validation_delay.total_seconds()
        self._patience = self._settings.dial_limit.total_seconds()
        self._has_ttl = has_ttl
        self._touched: dict[str, datetime] = {}
        self._background = Background()
        self._chats: Holdings[C] = Holdings(client, on_rebound, self._settings.resolve_attempts)

    async def dial(self, chat_id: str) -> Borrowed[C]:
        """A connection to the chat's agent, on loan; the chat is in use from now on.

        Raises DialError, within the dial limit, and the caller's own cancellation unchanged.
        """
        if lent := self._kept(chat_id):
            return lent
        limit = Limit(self._clock, self._patience, armed=self._delay >= self._patience)
        call = Call(chat_id, slow=limit.arm)
        try:
            with limit:
                return await self._connect(call)
        except TimeoutError:
            if not limit.over:
                raise
        raise await self._why_timed_out(call)

    async def discover(self, chat_id: str) -> Borrowed[C] | None:
        """The same before a turn, within the discovery limit: None when there is nothing to reach by then."""
        if lent := self._kept(chat_id):
            return lent
        try:
            with Limit(self._clock, self._settings.discovery_limit.total_seconds()):
                return await self._connect(Call(chat_id))
        except (DialError, TimeoutError):
            return None

    async def resolve(self, chat_id: str) -> Binding:
        """What would be dialed. Raises DialError."""
        call = Call(chat_id)
        return await self._chats.resolve(call, await self._chats.of(call))

    def held(self, chat_id: str) -> Snapshot | None:
        """The newest snapshot of a chat in use."""
        known = self._chats.known(chat_id)
        return known.snapshot if known else None

    def drop(self, chat_id: str) -> None:
        """Keep no connection for the chat: the next dial is a new one. Loans go on."""
        if known := self._chats.known(chat_id):
            known.drop()

    async def leave(self, chat_id: str) -> None:
        """The chat is not in use any more: no subscription, no connection."""
        await self._chats.leave(chat_id)

    async def close(self) -> None:
        """Leave every chat; returns when releases and reports are through. Borrowers still give back."""
        await self._chats.close()
        await self._background.done()

    # --- one call -----------------------------------------------------------------------------------------------------

    def _kept(self, chat_id: str) -> Borrowed[C] | None:
        """The steady state: nothing is asked and nothing awaited."""
        held = self._chats.known(chat_id)
        lent = held.lend() if held else None
        if lent and held and held.snapshot:
            self._touch(chat_id, held.snapshot)
        return lent

    async def _connect(self, call: Call) -> Borrowed[C]:
        connector = self._connector
        if connector is None:
            raise ConnectorMissing
        held = self._chats.known(call.chat_id) or await self._chats.of(call)
        for _ in range(self._settings.resolve_attempts):
            binding = held.binding or await self._chats.resolve(call, held)
            if lent := held.lend(requests=call.requests):
                return lent
            if away := external_away(held.snapshot):
                await self._check_external(call, held, away)
                if held.binding != binding:
                    continue
            attempt = await self._dial(connector, call, held, binding)
            if held.binding == attempt.binding:
                return self._keep(call, held, attempt, switched=attempt.binding != binding)
            attempt.abandon()
            call.fresh = False
        raise WorkspaceChanged

    async def _check_external(self, call: Call, held: Held[C], away: ExternalAgentAway) -> None:
        """Raises `away` without a dial, for an agent that the engine, if it can be asked, confirms."""
        if call.fresh:
            raise away
        try:
            await self._chats.reload(call, held)
        except WorkspacedError:
            raise away from None
        if still := external_away(held.snapshot):
            raise still

    async def _dial(self, connector: Connector[C], call: Call, held: Held[C], binding: Binding) -> Attempt[C]:
        def start(to: Binding, on_end: Callable[[], None]) -> Attempt[C]:
            call.dialed = to
            return Attempt(to, connector, on_end, self._background, self._clock, self._patience)

        async def validate() -> Binding:
            await self._chats.reload(call, held)
            if held.binding is None:
                raise unbound(held.snapshot)
            return held.binding

        try:
            return await LazyDial(start, validate, self._clock, self._delay, call.slow).run(binding)
        except DialFailed as error:
            if error.confirmed:
                self._report(call, str(error))
            raise

    def _keep(self, call: Call, held: Held[C], attempt: Attempt[C], *, switched: bool) -> Borrowed[C]:
        connection, release = attempt.take()
        shared = Shared(connection, attempt.binding, lambda: self._release(release))
        if held.snapshot:
            self._touch(call.chat_id, held.snapshot)
        return held.keep(shared, switched=switched, requests=call.requests)

    def _release(self, release: Release | None) -> None:
        if release is not None:
            self._background.run("release of a connection", release)

    # --- when it did not work -----------------------------------------------------------------------------------------

    async def _why_timed_out(self, call: Call) -> DialError:
        held = self._chats.known(call.chat_id)
        if held is None:
            return DialTimeout()
        held.forget()
        try:
            with Limit(self._clock, self._settings.request_timeout.total_seconds()):
                await self._chats.reload(call, held)
            fresh = held.snapshot
        except (WorkspacedError, TimeoutError):
            fresh = None
        fault = why_timed_out(fresh, self._clock.now(), self._settings.disconnected_advice_after)
        if isinstance(fault, DialTimeout) and (fresh is None or binding_of(fresh) == call.dialed):
            self._report(call, str(fault))
        return fault

    def _report(self, call: Call, reason: str) -> None:
        """Tell the engine, which verifies before it believes; nobody waits for its answer."""
        at = call.dialed
        if at is None or at.build_id is None:
            return
        report = partial(
            self._client.unreachable,
            call.chat_id,
            workspace_id=at.workspace_id,
            build_id=at.build_id,
            agent_id=at.agent_id,
            reason=reason[:REASON_LENGTH],
        )
        self._background.run("report of an agent that cannot be reached", report)

    def _touch(self, chat_id: str, snapshot: Snapshot) -> None:
        if not self._has_ttl(snapshot):
            return
        workspace_id = snapshot.workspace.id if snapshot.workspace else ""
        now, last = self._clock.now(), self._touched.get(workspace_id)
        if last is not None and now - last < self._settings.touch_interval:
            return
        self._touched[workspace_id] = now
        self._background.run("touch", partial(self._client.touch, chat_id))


def ping_dialer(
    client: WorkspacedClient, *, settings: DialSettings | None = None, clock: Clock | None = None
) -> Dialer[Pong]:
    """A dialer whose connection is the agent's answer to a ping."""
    return Dialer(client, PingConnector(client.connection), settings=settings, clock=clock)
