"""Rules of the template catalogue that both stores share (domain.md section 5)."""

import msgspec

from workspaced.fsm.errors import Conflict, NotFound
from workspaced.fsm.template import Template, TemplateVersion

_encode = msgspec.json.Encoder(order="sorted").encode


def as_put(template: Template, stored: Template | None, version_id: str) -> tuple[Template, TemplateVersion | None]:
    """The template as it will be stored, and its new version unless the content is that of the active one."""
    unchanged = stored is not None and _content(template) == _content(stored)
    active = stored.active_version_id if stored is not None and unchanged else version_id
    put = msgspec.structs.replace(template, active_version_id=active, deleted=False)
    if unchanged:
        return put, None
    return put, TemplateVersion(version_id, template.id, template.parameters, template.presets, template.source)


def name_taken(template: Template) -> Conflict:
    """Another template has the name."""
    return Conflict(
        f'the organization has a template named "{template.name}" already; choose another name',
        code="name_taken",
        field="name",
    )


def in_use() -> Conflict:
    """Live workspaces hold the template."""
    return Conflict(
        "live workspaces are made from this template; delete them first, or put it as deprecated",
        code="template_in_use",
        field="template_id",
    )


def unknown() -> NotFound:
    """No such template, or not any more."""
    return NotFound("look up template: template not found", code="template_not_found", field="template_id")


def _content(template: Template) -> bytes:
    """What a version consists of, so that equal JSON values have equal bytes."""
    return _encode((template.parameters, template.presets, msgspec.json.decode(template.source)))
