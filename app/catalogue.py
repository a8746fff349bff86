"""The requests about templates and settings (domain.md sections 5 and 11, wire.md section 2)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace
from nats.aio.client import Client

from workspaced.bus.announce import timer_message
from workspaced.bus.codec import decode_request, decode_template
from workspaced.bus.jetstream import is_served
from workspaced.bus.messages import (
    Deleted,
    Empty,
    PutSettings,
    SettingsReply,
    TemplateReply,
    TemplateRequest,
    Templates,
    TemplatesRequest,
)
from workspaced.bus.publish import Publisher
from workspaced.bus.service import Handler
from workspaced.fsm.catalogue import check_template
from workspaced.fsm.effects import QueueTurn, SetTimer
from workspaced.fsm.errors import NotFound
from workspaced.fsm.ids import Ids
from workspaced.fsm.settings import COUNTS, Settings, settings_as_texts, settings_from, settings_in_force
from workspaced.store.port import Store

PAGE: Final = 10


class Catalogue:
    """Answers `templates.*` and `settings.*` from the store."""

    def __init__(
        self,
        connection: Client,
        store: Store,
        publisher: Publisher,
        *,
        clock: Callable[[], datetime],
        ids: Ids,
        defaults: Settings,
    ) -> None:
        self._connection, self._store, self._publisher = connection, store, publisher
        self._clock, self._ids, self._defaults = clock, ids, defaults

    def handlers(self) -> Mapping[str, Handler]:
        """By verb."""
        return {
            "templates.put": self._put,
            "templates.get": self._get,
            "templates.list": self._list,
            "templates.delete": self._delete,
            "settings.get": self._settings,
            "settings.put": self._put_settings,
        }

    async def _put(self, body: bytes) -> TemplateReply:
        template = decode_template(body, self._ids.uuid())
        check_template(template)
        stored = await self._store.put_template(replace(template, deleted=False), self._ids.uuid())
        tag = stored.provisioner
        served = await is_served(self._connection, tag)
        warning = f'no provisioner serves "{tag}"; run `workspaced migrate --provisioner-tag {tag}` and a provisioner'
        return TemplateReply(stored, () if served else (warning,))

    async def _get(self, body: bytes) -> TemplateReply:
        request = decode_request(body, TemplateRequest)
        template = await self._store.template(request.template_id)
        if template is None or template.deleted:
            raise NotFound("template not found", code="template_not_found", field="template_id")
        return TemplateReply(template)

    async def _list(self, body: bytes) -> Templates:
        request = decode_request(body, TemplatesRequest)
        rows, total = await self._store.templates(
            organization_id=request.organization_id,
            query=request.query or "",
            page=request.page,
            page_size=PAGE,
            include_hidden=not request.visible_only,
        )
        return Templates(
            templates=tuple(template for template, _ in rows),
            count=len(rows),
            page=request.page,
            total_pages=max(1, -(-total // PAGE)),
            total_count=total,
            active_developers={template.id: developers for template, developers in rows if developers},
        )

    async def _delete(self, body: bytes) -> Deleted:
        request = decode_request(body, TemplateRequest)
        await self._store.delete_template(request.template_id)
        return Deleted(deleted=True)

    async def _settings(self, body: bytes) -> SettingsReply:
        decode_request(body, Empty)
        settings, _ = settings_in_force(await self._store.settings(), self._defaults)
        return SettingsReply(settings_as_texts(settings))

    async def _put_settings(self, body: bytes) -> SettingsReply:
        request = decode_request(body, PutSettings)
        settings_from(request.settings, self._defaults)
        await self._store.put_settings(request.settings)
        if not COUNTS.isdisjoint(request.settings):  # more builds may begin now, and no build's end would tell
            turn = QueueTurn(self._ids.uuid(), self._ids.uuid())
            await self._publisher.publish([timer_message(SetTimer(self._clock(), turn))])
        return await self._settings(b"")
