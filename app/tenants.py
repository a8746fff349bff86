"""Looking for users who are limited to one organization: what is another's is answered like what is not there.

A workspace and a template never change their organization, so each is checked first, and then looked at as by anybody.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from workspaced.bus.codec import decode_request, encode
from workspaced.bus.messages import (
    GetChat,
    HistoryRequest,
    ListRequest,
    Logs,
    LogsRequest,
    TemplateRequest,
    TemplatesRequest,
)
from workspaced.bus.service import Handler, TenantHandler
from workspaced.fsm.errors import NotFound
from workspaced.fsm.rows import Needs
from workspaced.store.port import Store


class TenantLooks:
    """The looks at chats, workspaces, logs and templates; everything else is not for such users."""

    def __init__(self, store: Store, looks: Mapping[str, Handler]) -> None:
        """`looks` are those for anybody, by verb."""
        self._store, self._looks = store, looks

    def handlers(self) -> Mapping[str, TenantHandler]:
        """By verb."""
        return {
            "get": self._get,
            "list": self._list,
            "history": self._history,
            "logs": self._logs,
            "templates.get": self._template,
            "templates.list": self._templates,
        }

    async def _get(self, body: bytes, tenant: str) -> object:
        await self._check_chat(decode_request(body, GetChat).chat_id, tenant)
        return await self._looks["get"](body)

    async def _history(self, body: bytes, tenant: str) -> object:
        await self._check_chat(decode_request(body, HistoryRequest).chat_id, tenant)
        return await self._looks["history"](body)

    async def _check_chat(self, chat_id: str, tenant: str) -> None:
        known = (await self._store.read(Needs(chats=(chat_id,)))).chats
        if not any(chat.id == chat_id and chat.organization_id == tenant for chat in known):
            raise NotFound

    async def _list(self, body: bytes, tenant: str) -> object:
        request = replace(decode_request(body, ListRequest), organization_id=tenant)
        return await self._looks["list"](encode(request))

    async def _logs(self, body: bytes, tenant: str) -> object:
        if await self._store.organization_of(decode_request(body, LogsRequest).build_id) != tenant:
            return Logs((), has_more=False, ended=False)  # as of a build that nobody knows
        return await self._looks["logs"](body)

    async def _template(self, body: bytes, tenant: str) -> object:
        template = await self._store.template(decode_request(body, TemplateRequest).template_id)
        if template is not None and template.organization_id != tenant:
            raise NotFound("template not found", code="template_not_found", field="template_id")
        return await self._looks["templates.get"](body)

    async def _templates(self, body: bytes, tenant: str) -> object:
        request = replace(decode_request(body, TemplatesRequest), organization_id=tenant)
        return await self._looks["templates.list"](encode(request))
