"""One test's stack: fresh streams, a migrated database, engines in this process, and the actors around them."""

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import asyncpg
from msgspec.structs import replace
from nats.js.errors import NotFoundError

from tests.e2e.provisioner import Provisioner
from tests.e2e.pushes import Pushes
from tests.servers import Connections, Reachable
from workspaced.app.config import ServeConfig
from workspaced.app.serve import Server
from workspaced.bus import jetstream, streams, subjects
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.bus.moments import Moments
from workspaced.bus.request import Patience
from workspaced.fsm.commands import Owner
from workspaced.fsm.settings import Settings

if TYPE_CHECKING:
    from nats.aio.client import Client

ORGANIZATION = str(uuid4())
TEMPLATE = str(uuid4())
"""In every test's database."""

LIMIT = 30.0
"""Seconds after which a test gives up; never the thing measured."""


class Kept(NamedTuple):
    """A message of a stream."""

    subject: str
    body: bytes
    headers: dict[str, str]
    sequence: int

    def json(self) -> dict[str, Any]:
        """The body."""
        body: dict[str, Any] = json.loads(self.body)
        return body


class Stack:
    """All that runs around one test."""

    def __init__(self, server: Reachable, connect: Connections, dsn: str, limits: streams.Limits | None = None) -> None:
        self.server, self.connect, self.dsn, self._limits = server, connect, dsn, limits or streams.Limits()
        self.owner = Owner(str(uuid4()), "ada")
        self.engines: list[Server] = []
        self.admin: Client
        self.client: WorkspacedClient
        """As admin, who may use every verb."""
        self.provisioner: Provisioner
        self.pushes: Pushes

    async def open(self, ack_wait: timedelta) -> None:
        """Streams, the watcher, the actors; no engine yet."""
        self.admin = await self.connect("admin")
        await self.make_streams(ack_wait)
        self.client = await self.a_client()
        self.pushes = Pushes(await self.connect("chatd"))
        await self.pushes.start()
        self.provisioner = Provisioner(await self.connect("provisioner"), self.connect)
        await self.provisioner.start()

    async def a_client(self, patience: Patience | None = None) -> WorkspacedClient:
        """Another one, as admin."""
        who = self.server.roles["admin"]
        return await WorkspacedClient.connect(
            self.server.url, user=who.user, password=who.password, inbox_prefix=who.inbox_prefix, patience=patience
        )

    async def make_streams(self, ack_wait: timedelta = timedelta(seconds=30)) -> None:
        """What `workspaced migrate` makes."""
        await jetstream.ensure(self.admin, ("local",), replace(self._limits, ack_wait=ack_wait))

    async def close(self) -> None:
        """End what is left."""
        for engine in self.engines:
            await engine.stop()
        await self.client.close()

    # --- engines ------------------------------------------------------------------------------------------------------

    def config(self, at: str = "", dsn: str = "", **settings: Any) -> ServeConfig:  # noqa: ANN401  # as Settings has them
        """An engine's, with deadlines of its own; `at`: another way to NATS, `dsn`: another one to Postgres."""
        who = self.server.roles["engine"]
        return ServeConfig(
            nats_url=at or self.server.url,
            database_url=dsn or self.dsn,
            user=who.user,
            password=who.password,
            inbox_prefix=who.inbox_prefix,
            defaults=Settings(**settings),
            http_port=0,
            drain_limit=timedelta(seconds=3),
            agent_key=self.server.credentials.agent_key,
        )

    async def engine(
        self,
        moments: Moments | None = None,
        *,
        at: str = "",
        dsn: str = "",
        **settings: Any,  # noqa: ANN401  # as Settings has them
    ) -> Server:
        """A running one, as `config` has it; it is stopped at the end of the test if not before."""
        engine = Server(self.config(at, dsn, **settings), moments)
        await engine.start()
        self.engines.append(engine)
        return engine

    async def stop(self, engine: Server) -> None:
        """End one in peace."""
        self.engines.remove(engine)
        await engine.stop()

    async def page(self, engine: Server, path: str) -> tuple[int, str]:
        """Status and text of a page of its HTTP port."""
        return await asyncio.to_thread(_page, engine.http_url + path)

    # --- commands -----------------------------------------------------------------------------------------------------

    async def create(self, chat_id: str, client: WorkspacedClient | None = None, **more: Any) -> Reply:  # noqa: ANN401  # as the client's
        """Ask for a workspace as the stack's owner."""
        asked: dict[str, Any] = {"owner": self.owner, "organization_id": ORGANIZATION, "template_id": TEMPLATE}
        return await (client or self.client).create(chat_id, **asked | more)

    async def attach(self, chat_id: str, **to: Any) -> Reply:  # noqa: ANN401  # as the client's
        """Bind a chat of the stack's owner."""
        return await self.client.attach(chat_id, owner=self.owner, organization_id=ORGANIZATION, **to)

    async def ready(self, chat_id: str) -> Reply:
        """Create, and have everything built until the chat is ready; the reply to the create."""
        reply = await self.create(chat_id)
        await self.provisioner.bring_up(await self.provisioner.job(reply.build_id))
        await self.pushes.until(chat_id, "ready")
        return reply

    async def put_command(self, verb: str, body: dict[str, Any]) -> None:
        """Put a command on the stream as an engine's API does, for whichever engine comes."""
        message = json.dumps({"request_id": str(uuid4())} | body).encode()
        await self.admin.jetstream().publish(subjects.command(body["chat_id"], verb), message)

    def a_create(self, chat_id: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
        """The body of a create."""
        return {
            "chat_id": chat_id,
            "request_id": str(uuid4()),
            "owner": {"id": self.owner.id, "name": self.owner.name},
            "organization_id": ORGANIZATION,
            "template_id": TEMPLATE,
        } | fields

    # --- what is kept -------------------------------------------------------------------------------------------------

    async def sql(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the test's database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def stored(self, stream: str) -> list[Kept]:
        """Everything in a stream, oldest first."""
        stream_api = self.admin.jetstream()
        state = (await stream_api.stream_info(stream)).state
        found = []
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            try:
                kept = await stream_api.get_msg(stream, sequence)
            except NotFoundError:  # taken from a work queue
                continue
            found.append(Kept(kept.subject or "", kept.data or b"", kept.headers or {}, sequence))
        return found

    async def decided(self) -> None:
        """Wait until every input is decided, said and acknowledged."""
        async with asyncio.timeout(LIMIT):
            for stream in ("EVENTS", "TIMERS"):
                while True:
                    info = await self.admin.jetstream().consumer_info(stream, "engine")
                    if not info.num_pending and not info.num_ack_pending:
                        break


def _page(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=LIMIT) as answer:  # noqa: S310  # our own http
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
