"""The request API: each verb of `ws.api` and what answers it (design.md section 4, wire.md section 2)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import ParamSpec, Protocol

from msgspec.structs import replace
from nats.aio.client import Client

from workspaced.app.catalogue import Catalogue
from workspaced.app.store_watch import StoreWatch
from workspaced.app.tenants import TenantLooks
from workspaced.app.typical import TypicalTimes
from workspaced.bus.ask import Asker
from workspaced.bus.codec import decode_command, decode_request
from workspaced.bus.dead import read_dead
from workspaced.bus.logs import Places, read_logs
from workspaced.bus.messages import (
    ChatList,
    DeadRequest,
    GetChat,
    History,
    HistoryEntry,
    HistoryRequest,
    ListRequest,
    LogsRequest,
    StaleEntry,
    WorkspaceEntry,
    WorkspaceList,
)
from workspaced.bus.service import Handler, TenantHandler
from workspaced.fsm.chat import Chat
from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.errors import NotFound, Unavailable
from workspaced.fsm.facts import Facts, Queue, job_status
from workspaced.fsm.queue import called
from workspaced.fsm.rows import Needs, TransitionRow, Turns
from workspaced.fsm.settings import Settings, settings_in_force
from workspaced.fsm.snapshot import Snapshot, take_snapshot
from workspaced.store.port import Store

P = ParamSpec("P")


class Command(Protocol):
    """Answers a command, as `Handler` and as `TenantHandler`."""

    def __call__(self, body: bytes, tenant: str | None = None, /) -> Awaitable[bytes]:
        """The reply's body."""


class Api:
    """Answers requests: commands by way of the stream, the others from the store."""

    def __init__(
        self,
        connection: Client,
        store: Store,
        watch: StoreWatch,
        asker: Asker,
        catalogue: Catalogue,
        *,
        clock: Callable[[], datetime],
        defaults: Settings,
        typical: TypicalTimes,
    ) -> None:
        self._connection, self._store, self._watch, self._asker = connection, store, watch, asker
        self._catalogue, self._clock, self._defaults, self._typical = catalogue, clock, defaults, typical
        self._places = Places()

    def handlers(self) -> Mapping[str, Handler]:
        """By verb."""
        looks: dict[str, Handler] = {
            "get": self._get,
            "list": self._list,
            "history": self._history,
            "logs": self._logs,
            "dead": self._dead,
        }
        commands = {verb: self._command(verb) for verb in COMMANDS}
        kept = looks | dict(self._catalogue.handlers())
        return commands | {verb: self._noticing(handler) for verb, handler in kept.items()}

    def tenant_handlers(self) -> Mapping[str, TenantHandler]:
        """By verb, for who is limited to one organization; not all verbs are for them."""
        commands: dict[str, TenantHandler] = {verb: self._command(verb) for verb in COMMANDS}
        looks = TenantLooks(self._store, self.handlers()).handlers()
        return commands | {verb: self._noticing(handler) for verb, handler in looks.items()}

    def _command(self, verb: str) -> Command:
        async def ask(body: bytes, tenant: str | None = None) -> bytes:
            decode_command(body, COMMANDS[verb])  # a bad body is the caller's to mend, whatever the store does
            if self._watch.away:
                raise Unavailable
            return await self._asker.ask(verb, body, tenant)

        return ask

    def _noticing(self, handler: Callable[P, Awaitable[object]]) -> Callable[P, Awaitable[object]]:
        """Whoever finds the store away tells the watch, so that commands are refused before they are published."""

        async def handle(*args: P.args, **kwargs: P.kwargs) -> object:
            try:
                return await handler(*args, **kwargs)
            except Unavailable as error:
                if not await self._watch.look():
                    raise Unavailable from error
                raise

        return handle

    async def _get(self, body: bytes) -> Snapshot:
        request = decode_request(body, GetChat)
        loaded = await self._store.read(Needs(chats=(request.chat_id,)))
        chat = next((known for known in loaded.chats if known.id == request.chat_id), None)
        if chat is None:
            raise NotFound
        workspace = next((known for known in loaded.workspaces if known.id == chat.workspace_id), None)
        build = next((known for known in loaded.builds if known.workspace_id == chat.workspace_id), None)
        agents = tuple(known for known in loaded.agents if known.workspace_id == chat.workspace_id)
        facts = Facts(workspace, build, agents) if workspace else None
        (facts,) = await self._placed([facts])
        settings, _ = settings_in_force(loaded.settings, self._defaults)
        return self._snapshot(chat, facts, settings)

    async def _placed(self, known: Sequence[Facts | None]) -> list[Facts | None]:
        """The same with the places of now for builds in the queue; asks for them only when there are such."""
        waiting = sorted({facts.workspace.id for facts in known if facts and facts.build and facts.build.queue})
        if not waiting:
            return list(known)
        turns = Turns(tuple(waiting), self._defaults.builds_per_owner, self._defaults.builds_per_template)
        places = {row.build_id: place for row, place in called(await self._store.queue(turns)) if place}
        return [_in_queue(facts, places) for facts in known]

    def _snapshot(self, chat: Chat, facts: Facts | None, settings: Settings) -> Snapshot:
        typical = self._typical.of(facts.workspace.template_id, chat.state) if facts else None
        return take_snapshot(chat, facts, self._clock(), settings.agent_connection_timeout, typical)

    async def _list(self, body: bytes) -> ChatList | WorkspaceList:
        request = decode_request(body, ListRequest)
        if request.kind == "workspaces":
            workspaces, after = await self._store.workspaces(
                owner_id=request.owner_id,
                template_id=request.template_id,
                organization_id=request.organization_id,
                unbound=bool(request.unbound),
                limit=request.limit,
                after=request.after,
            )
            return WorkspaceList(tuple(_workspace(facts, chats) for facts, chats in workspaces), after)
        settings, _ = settings_in_force(await self._store.settings(), self._defaults)
        chats, after = await self._store.chats(
            state=request.state,
            owner_id=request.owner_id,
            template_id=request.template_id,
            organization_id=request.organization_id,
            unbound=bool(request.unbound),
            limit=request.limit,
            after=request.after,
        )
        placed = await self._placed([facts for _, facts in chats])
        known = zip(chats, placed, strict=True)
        return ChatList(tuple(self._snapshot(chat, facts, settings) for (chat, _), facts in known), after)

    async def _history(self, body: bytes) -> History:
        request = decode_request(body, HistoryRequest)
        rows, after = await self._store.history(request.chat_id, request.after_version, request.limit)
        if not rows and not (await self._store.read(Needs(chats=(request.chat_id,)))).chats:
            raise NotFound
        stale = None
        if request.stale:
            reports = await self._store.stale_of(request.chat_id)
            stale = tuple(StaleEntry(row.at, row.input_id, row.subject, row.reason) for row in reports)
        return History(request.chat_id, tuple(_entry(row) for row in rows), after, stale)

    async def _logs(self, body: bytes) -> object:
        return await read_logs(self._connection, decode_request(body, LogsRequest), self._places)

    async def _dead(self, body: bytes) -> object:
        return await read_dead(self._connection, decode_request(body, DeadRequest))


def _in_queue(facts: Facts | None, places: Mapping[str, Queue]) -> Facts | None:
    if facts is None or facts.build is None or facts.build.id not in places or facts.build.queue is None:
        return facts
    return replace(facts, build=replace(facts.build, queue=places[facts.build.id]))


def _entry(row: TransitionRow) -> HistoryEntry:
    return HistoryEntry(
        version=row.version,
        from_state=row.from_state,
        to_state=row.to_state,
        cause=row.cause,
        at=row.at,
        build_id=row.build_id,
        agent_id=row.agent_id,
        failure=row.failure,
        input_id=row.input_id,
    )


def _workspace(facts: Facts, chats: tuple[str, ...]) -> WorkspaceEntry:
    workspace, build = facts.workspace, facts.build
    return WorkspaceEntry(
        id=workspace.id,
        name=workspace.name,
        owner_id=workspace.owner_id,
        owner_name=workspace.owner_name,
        organization_id=workspace.organization_id,
        template_id=workspace.template_id,
        deleted=workspace.deleted,
        was_ready=workspace.was_ready,
        ttl_ms=workspace.ttl_ms,
        next=workspace.next,
        chats=chats,
        build_id=build.id if build else None,
        build_number=build.build_number if build else None,
        transition=build.transition if build else None,
        job_status=job_status(build) if build else None,
        job_error=(build.error or None) if build else None,
    )
