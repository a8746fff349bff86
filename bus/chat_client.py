"""The chat daemon's client: commands, inspection, and watching chats. Needs nats-py and msgspec, nothing heavier."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Self, TypeVar
from uuid import uuid4

import msgspec
from nats.aio.client import Client

from workspaced.bus import messages, subjects
from workspaced.bus.connection import CONNECT_LIMIT, flush, open_connection
from workspaced.bus.follow_logs import LogFollow, LogFollows
from workspaced.bus.messages import Push, Reply
from workspaced.bus.moments import Moments
from workspaced.bus.request import Patience, request
from workspaced.bus.watch import Feeds, Follower, Watch, pushed
from workspaced.fsm.commands import (
    VERBS,
    Attach,
    Cancel,
    Command,
    Create,
    Delete,
    Owner,
    Restart,
    Start,
    Stop,
    Touch,
    Unreachable,
)
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.fsm.template import Template

T = TypeVar("T")


class WorkspacedClient:
    """Asks the engine and watches chats over one connection; any number of tasks may use it at once.

    Every call raises the error that the engine raised (`BadRequest`, `Forbidden`, `NotFound`, `Conflict`), and
    `Unavailable` when nobody answered. A command without `request_id` gets a fresh one; give your own to be able to ask
    again after `Unavailable` or outcome `queued`.
    """

    def __init__(
        self,
        connection: Client,
        patience: Patience | None = None,
        moments: Moments | None = None,
        *,
        tenant: str | None = None,
    ) -> None:
        """Over a connection of yours, whose callbacks call `reconnected` and `closed`, and which you close yourself.

        `tenant` is the organization that your NATS user is limited to (docs/security.md): its subjects are used.
        """
        self.connection = connection
        self._patience = patience or Patience()
        self._moments = moments or Moments()
        self._tenant = tenant
        self._feeds = Feeds(connection, self.get, self._moments, tenant)
        self._log_follows = LogFollows(connection, self.logs, tenant)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        inbox_prefix: str = "_INBOX_chatd",
        limit: timedelta = CONNECT_LIMIT,
        patience: Patience | None = None,
        tenant: str | None = None,
        **options: Any,  # noqa: ANN401  # nats.connect's own
    ) -> Self:
        """A client with a connection of its own, which reconnects by itself. Raises Unavailable after `limit`.

        `tenant` is the organization that the user is limited to, if it is to one.
        `options` are those of `nats.connect`, such as `tls` and `nkeys_seed_str`.
        """
        client: Self | None = None

        async def reconnected() -> None:
            if client is not None:
                client.reconnected()

        async def closed() -> None:
            if client is not None:
                client.closed()

        connection = await open_connection(
            url,
            user=user,
            password=password,
            inbox_prefix=inbox_prefix,
            name="workspaced client",
            limit=limit,
            on_reconnected=reconnected,
            on_closed=closed,
            **options,
        )
        client = cls(connection, patience, tenant=tenant)
        return client

    async def close(self) -> None:
        """End all watching and close the connection."""
        self.closed()
        await self.connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def reconnected(self) -> None:
        """The connection was away: watched chats and followed logs are read again."""
        self._feeds.reconnected()
        self._log_follows.reconnected()

    def closed(self) -> None:
        """The connection is closed for good: watchers and followers get Unavailable."""
        self._feeds.close()
        self._log_follows.close()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def send(self, command: Command) -> Reply:
        """Any command as it is."""
        return await self._request(VERBS[type(command)], command, Reply)

    async def create(  # noqa: PLR0913  # the command's fields
        self,
        chat_id: str,
        *,
        owner: Owner,
        organization_id: str,
        template_id: str,
        name: str | None = None,
        parameters: Mapping[str, str] | None = None,
        preset_id: str | None = None,
        parent_chat_id: str | None = None,
        actor_id: str | None = None,
        request_id: str | None = None,
    ) -> Reply:
        """Give the chat a workspace, or tell which one it has (domain.md 2.2)."""
        return await self.send(
            Create(
                chat_id=chat_id,
                request_id=request_id or str(uuid4()),
                actor_id=actor_id,
                owner=owner,
                organization_id=organization_id,
                template_id=template_id,
                name=name,
                parameters=dict(parameters) if parameters is not None else None,
                preset_id=preset_id,
                parent_chat_id=parent_chat_id,
            )
        )

    async def attach(
        self,
        chat_id: str,
        *,
        owner: Owner,
        organization_id: str,
        workspace_id: str | None = None,
        from_chat_id: str | None = None,
        actor_id: str | None = None,
        request_id: str | None = None,
    ) -> Reply:
        """Bind the chat to a workspace, or to that of another chat (domain.md 2.5)."""
        return await self.send(
            Attach(
                chat_id=chat_id,
                request_id=request_id or str(uuid4()),
                actor_id=actor_id,
                owner=owner,
                organization_id=organization_id,
                workspace_id=workspace_id,
                from_chat_id=from_chat_id,
            )
        )

    async def start(
        self,
        chat_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        actor_id: str | None = None,
        request_id: str | None = None,
    ) -> Reply:
        """Start the chat's workspace (domain.md 2.3)."""
        given = dict(parameters) if parameters is not None else None
        return await self.send(
            Start(chat_id=chat_id, request_id=request_id or str(uuid4()), actor_id=actor_id, parameters=given)
        )

    async def restart(
        self,
        chat_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        actor_id: str | None = None,
        request_id: str | None = None,
    ) -> Reply:
        """Stop the chat's workspace, then start it, whether or not this client lives that long (domain.md 2.4)."""
        given = dict(parameters) if parameters is not None else None
        return await self.send(
            Restart(chat_id=chat_id, request_id=request_id or str(uuid4()), actor_id=actor_id, parameters=given)
        )

    async def stop(self, chat_id: str, *, actor_id: str | None = None, request_id: str | None = None) -> Reply:
        """Stop the chat's workspace and keep it."""
        return await self.send(Stop(chat_id=chat_id, request_id=request_id or str(uuid4()), actor_id=actor_id))

    async def delete(self, chat_id: str, *, actor_id: str | None = None, request_id: str | None = None) -> Reply:
        """Delete the chat's workspace."""
        return await self.send(Delete(chat_id=chat_id, request_id=request_id or str(uuid4()), actor_id=actor_id))

    async def cancel(self, chat_id: str, *, actor_id: str | None = None, request_id: str | None = None) -> Reply:
        """Give up what is on its way."""
        return await self.send(Cancel(chat_id=chat_id, request_id=request_id or str(uuid4()), actor_id=actor_id))

    async def touch(self, chat_id: str, *, actor_id: str | None = None, request_id: str | None = None) -> Reply:
        """Tell that the workspace is in use, which sets its TTL anew; once per minute is enough."""
        return await self.send(Touch(chat_id=chat_id, request_id=request_id or str(uuid4()), actor_id=actor_id))

    async def unreachable(
        self,
        chat_id: str,
        *,
        workspace_id: str,
        build_id: str,
        agent_id: str,
        reason: str = "",
        actor_id: str | None = None,
        request_id: str | None = None,
    ) -> Reply:
        """Report that the bound agent could not be reached; `conflict` when it is not the bound one any more."""
        return await self.send(
            Unreachable(
                chat_id=chat_id,
                request_id=request_id or str(uuid4()),
                actor_id=actor_id,
                workspace_id=workspace_id,
                build_id=build_id,
                agent_id=agent_id,
                reason=reason,
            )
        )

    # --- inspection ---------------------------------------------------------------------------------------------------

    async def get(self, chat_id: str) -> Snapshot:
        """The chat as it is now. Raises NotFound for a chat without a row."""
        return await self._request("get", messages.GetChat(chat_id), Snapshot)

    async def list_chats(self, query: messages.ListRequest | None = None) -> messages.ChatList:
        """A page of chats, ordered by id."""
        asked = msgspec.structs.replace(query or messages.ListRequest(), kind="chats")
        return await self._request("list", asked, messages.ChatList)

    async def list_workspaces(self, query: messages.ListRequest | None = None) -> messages.WorkspaceList:
        """A page of workspaces, ordered by id."""
        asked = msgspec.structs.replace(query or messages.ListRequest(), kind="workspaces")
        return await self._request("list", asked, messages.WorkspaceList)

    async def history(
        self, chat_id: str, *, after_version: int = 0, limit: int = 100, stale: bool = False
    ) -> messages.History:
        """A page of the chat's transitions, ascending by version."""
        asked = messages.HistoryRequest(chat_id, after_version, limit, stale)
        return await self._request("history", asked, messages.History)

    async def logs(self, build_id: str, *, after: int = 0, limit: int = 400) -> messages.Logs:
        """A page of a build's log, ascending by `seq`."""
        return await self._request("logs", messages.LogsRequest(build_id, after, limit), messages.Logs)

    def follow_logs(self, build_id: str) -> LogFollow:
        """A build's log from its first line on, as it grows, until its end.

        `async with client.follow_logs(build_id) as lines: async for line in lines: …`; a build that ends without having
        said so, because nobody took its job, is ended by `lines.finish()`. Raises Forbidden for who may not hear lines,
        such as an inspector: they read pages.
        """
        return LogFollow(self._log_follows, build_id)

    async def dead(self, *, after: int = 0, limit: int = 50) -> messages.DeadList:
        """A page of the messages nobody could use; for admin and inspector."""
        return await self._request("dead", messages.DeadRequest(after, limit), messages.DeadList)

    # --- templates and settings ---------------------------------------------------------------------------------------

    async def put_template(self, template: Template | Mapping[str, Any]) -> messages.TemplateReply:
        """Store a template, as a new one when it has no `id`; for admin."""
        return await self._request("templates.put", {"template": template}, messages.TemplateReply)

    async def get_template(self, template_id: str) -> Template:
        """The template. Raises NotFound."""
        asked = messages.TemplateRequest(template_id)
        reply = await self._request("templates.get", asked, messages.TemplateReply)
        return reply.template

    async def list_templates(
        self, *, organization_id: str | None = None, query: str | None = None, page: int = 1, visible_only: bool = False
    ) -> messages.Templates:
        """A page of ten templates; without `visible_only` also those that chats may not use."""
        asked = messages.TemplatesRequest(organization_id, query, page, visible_only)
        return await self._request("templates.list", asked, messages.Templates)

    async def delete_template(self, template_id: str) -> None:
        """Delete the template; for admin. Raises Conflict, code `template_in_use`."""
        await self._request("templates.delete", messages.TemplateRequest(template_id), messages.Deleted)

    async def settings(self) -> dict[str, str]:
        """Every setting that may change at run time, as text."""
        reply = await self._request("settings.get", messages.Empty(), messages.SettingsReply)
        return reply.settings

    async def put_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Change `settings`, all or none, and return all there are; for admin."""
        asked = messages.PutSettings(dict(settings))
        reply = await self._request("settings.put", asked, messages.SettingsReply)
        return reply.settings

    # --- watching -----------------------------------------------------------------------------------------------------

    def watch(self, chat_id: str, *, current: bool = True) -> Watch:
        """The chat's snapshots, the current one first, each newer than the one before.

        With `current` false nothing is asked: what comes is certain to hold every version from now on.

        `async with client.watch(chat_id) as snapshots: async for snapshot in snapshots: …`; a chat without a row
        begins with its first version.
        """
        return Watch(self._feeds, chat_id, current=current)

    async def follow(self, chat_id: str, follower: Follower) -> bool:
        """Offer `follower` the chat's current snapshot and every newer one; whether the engine was asked for it."""
        return await self._feeds.join(chat_id, follower)

    async def unfollow(self, chat_id: str, follower: Follower) -> None:
        """Offer it nothing more."""
        await self._feeds.leave(chat_id, follower)

    async def wait_until(
        self,
        chat_id: str,
        until: Collection[State] | Callable[[Snapshot], bool],
        limit: timedelta | None = None,
    ) -> Snapshot:
        """The first snapshot, the current one included, whose state is in `until`, or that `until` accepts.

        Raises TimeoutError after `limit`.
        """
        accepts = until if callable(until) else lambda snapshot: snapshot.state in until
        async with asyncio.timeout(limit.total_seconds() if limit else None), self.watch(chat_id) as snapshots:
            async for snapshot in snapshots:
                if accepts(snapshot):
                    return snapshot
        raise AssertionError("a watch ends by an error only")

    @asynccontextmanager
    async def watch_all(self) -> AsyncIterator[AsyncIterator[Push]]:
        """The pushes of all chats from now on; what was pushed while NATS was away is missing, unlike in `watch`."""
        subscription = await self.connection.subscribe(subjects.all_chats(self._tenant))

        async def pushes() -> AsyncIterator[Push]:
            async for message in subscription.messages:
                push = pushed(message)
                if push is not None:
                    yield push

        try:
            await flush(self.connection)
            yield pushes()
        finally:
            if not self.connection.is_closed:
                await subscription.unsubscribe()

    async def _request(self, verb: str, message: object, kind: type[T]) -> T:
        await self._moments.reach("before_request")
        answer = await request(self.connection, verb, message, kind, self._patience, self._tenant)
        await self._moments.reach("after_answer")
        return answer
