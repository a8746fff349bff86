"""The service that NATS servers ask whether an agent may come in (ADR-26), and that turns agents out.

Several share the questions through a queue group, and each hears of every revocation. While none runs no agent gets
in, and those that are in stay.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from workspaced.bus import subjects, tokens
from workspaced.bus.auth_jwt import Login, Signer, read_login
from workspaced.bus.codec import decode
from workspaced.bus.connection import flush
from workspaced.bus.messages import Revoked
from workspaced.fsm.agent_secret import hashed
from workspaced.fsm.errors import WorkspacedError
from workspaced.fsm.values import Connection

AUTH: Final = "$SYS.REQ.USER.AUTH"
QUEUE: Final = "workspaced-callout"
AT_ONCE: Final = 64
KICK_LIMIT: Final = timedelta(seconds=2)

_log = logging.getLogger(__name__)


class Admitted(Protocol):
    """An agent that may come in."""

    @property
    def workspace_id(self) -> str:
        """Whose agent it is."""

    @property
    def former(self) -> Iterable[Connection]:
        """Its connections until now; they go."""


class Doorkeeper(Protocol):
    """Who knows the agents: `store.logins.Logins`."""

    async def admit(self, build_id: str, secret_hash: str, agent_id: str, connection: Connection) -> Admitted | None:
        """Note a login; None when it may not come in. A build that begins meanwhile may have gone unseen."""

    async def revoked(self, workspace_id: str | None = None) -> list[Connection]:
        """Connections that must go, of one workspace or of all."""

    async def forget(self, connections: list[Connection]) -> None:
        """They are gone."""


class Callout:
    """Answers on one connection, as user `callout` of account AUTH."""

    def __init__(
        self,
        connection: Client,
        doorkeeper: Doorkeeper,
        signer: Signer,
        *,
        clock: Callable[[], datetime],
        lifetime: timedelta,
        behind: asyncio.Event | None = None,
    ) -> None:
        """A login holds for `lifetime`, to the second; then the server drops it and the agent comes again.

        `behind` is set when somebody who is revoked may still be in: `catch_up` then.
        """
        self._connection, self._doorkeeper, self._signer = connection, doorkeeper, signer
        self._clock, self.lifetime = clock, lifetime
        self._behind = behind or asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []
        self._revocations = 0
        """Heard of so far, reconnects included, over which some may have been missed."""

    async def start(self) -> None:
        """Listen, and turn out who was revoked while nobody did; the server has heard of it when this returns."""
        self._subscriptions = [
            await self._connection.subscribe(AUTH, queue=QUEUE, cb=self._on_login),
            await self._connection.subscribe(subjects.ALL_REVOKED, cb=self._on_revoked),
        ]
        await flush(self._connection)
        await self.catch_up()

    async def stop(self) -> None:
        """Ask for no more questions, and answer those that came."""
        if self._connection.is_connected:
            for subscription in self._subscriptions:
                await subscription.unsubscribe()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def catch_up(self) -> None:
        """Turn out all that are revoked: at the start, and after this service was cut off. Raises Unavailable."""
        self._revocations += 1
        await self._turn_out(await self._doorkeeper.revoked())

    async def _on_login(self, message: Msg) -> None:
        await self._room.acquire()
        self._spawn(self._answer(message), self._room.release)

    async def _on_revoked(self, message: Msg) -> None:
        try:
            revoked = decode(message.data, Revoked)
        except ValueError as error:  # an admin's own
            _log.warning("a revocation cannot be read and is dropped: %s", error)
            return
        self._revocations += 1
        self._spawn(self._revoke(revoked.workspace_id))

    def _spawn(self, work: Coroutine[Any, Any, None], over: Callable[[], None] | None = None) -> None:
        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if over is not None:
                over()
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("the callout has a fault of its own: %s", type(error).__name__)

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)

    async def _answer(self, message: Msg) -> None:
        try:
            login = read_login(message.data)
        except ValueError as error:
            _log.warning("a question that is none: %s", error)
            return
        await message.respond(await self._decide(login))

    async def _decide(self, login: Login) -> bytes:
        build_id, _, secret = login.password.partition(".")
        now = self._clock()
        if not (tokens.is_uuid(login.user) and tokens.is_uuid(build_id) and secret):
            return self._signer.refuse(login, now, "not an agent of workspaced")
        try:
            admitted = await self._admit(build_id, hashed(secret), login)
        except WorkspacedError as error:
            _log.warning("nobody gets in: %s", error)
            return self._signer.refuse(login, now, "the store is away")
        if admitted is None:
            return self._signer.refuse(login, now, "not an agent of its workspace's latest build")
        if former := list(admitted.former):
            self._spawn(self._turn_out(former))
        return self._signer.admit(login, admitted.workspace_id, login.user, now, now + self.lifetime)

    async def _admit(self, build_id: str, secret_hash: str, login: Login) -> Admitted | None:
        """One round trip, and a second one only if a build began meanwhile.

        A newer build is announced after it is committed. Announced before the login was sent, it is seen by the login;
        announced after the login was noted, the login is found and turned out; in between it is looked for here.
        """
        heard = self._revocations
        admitted = await self._doorkeeper.admit(build_id, secret_hash, login.user, login.connection)
        if admitted is not None and heard != self._revocations:
            return None if login.connection in await self._doorkeeper.revoked(admitted.workspace_id) else admitted
        return admitted

    async def _revoke(self, workspace_id: str) -> None:
        try:
            await self._turn_out(await self._doorkeeper.revoked(workspace_id))
        except WorkspacedError as error:
            _log.warning("agents of workspace %s could not be turned out yet: %s", workspace_id, error)
            self._behind.set()

    async def _turn_out(self, connections: list[Connection]) -> None:
        """Drop connections; those of a server that does not answer are gone with it."""
        if not connections:
            return
        await asyncio.gather(*(self._kick(connection) for connection in connections))
        await self._doorkeeper.forget(connections)

    async def _kick(self, connection: Connection) -> None:
        server, client = connection
        try:
            await self._connection.request(
                subjects.kick(server), json.dumps({"cid": client}).encode(), timeout=KICK_LIMIT.total_seconds()
            )
        except (NatsError, TimeoutError) as error:
            _log.info("server %s does not answer about a connection to drop: %s", server, type(error).__name__)
