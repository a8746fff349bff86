"""Templates as people name them."""

from typing import Any
from uuid import uuid4

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.tokens import is_uuid
from workspaced.fsm.errors import BadRequest, NotFound
from workspaced.fsm.template import Template


async def all_templates(
    client: WorkspacedClient, organization_id: str | None, query: str | None = None
) -> list[Template]:
    """Every template that is not deleted, hidden ones too."""
    found: list[Template] = []
    number, pages = 1, 1
    while number <= pages:
        page = await client.list_templates(organization_id=organization_id, query=query, page=number)
        found += page.templates
        number, pages = number + 1, page.total_pages
    return found


async def find_template(client: WorkspacedClient, organization_id: str | None, wanted: str | None) -> Template:
    """The template of that id or name, or the only one. Raises NotFound, and BadRequest when there are several."""
    if wanted is not None and is_uuid(wanted.lower()):
        return await client.get_template(wanted.lower())
    known = await all_templates(client, organization_id)
    found = [each for each in known if wanted is None or each.name.lower() == wanted.lower()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in known) or "none; put one with `workspaced templates put`"
    if not found:
        text = f"no template is named {wanted!r}; there are: {names}" if wanted else f"there are no templates: {names}"
        raise NotFound(text, code="template_not_found", field="template_id")
    raise BadRequest(f"which template? --template is one of: {names}", field="template_id")


def preset_id(template: Template, wanted: str | None) -> str | None:
    """The id of the preset of that name; an id stays what it is, and what is neither is refused by the engine."""
    named = {preset.name: preset.id for preset in template.presets}
    return None if wanted is None else named.get(wanted, wanted)


async def with_known_ids(client: WorkspacedClient, template: dict[str, Any]) -> dict[str, Any]:
    """The template with the ids of the one it replaces, that of the same name in its organization, and of its presets.

    An id that is given stays; a preset that is new gets a new one.
    """
    name = str(template.get("name", ""))
    known = await all_templates(client, str(template["organization_id"]), name)
    same = next((each for each in known if each.name.lower() == name.lower()), None)
    ids = {preset.name: preset.id for preset in same.presets} if same else {}
    presets = template.get("presets")
    if isinstance(presets, list):
        template = template | {"presets": [_with_id(preset, ids) for preset in presets]}
    return {"id": same.id} | template if same else template


def _with_id(preset: object, ids: dict[str, str]) -> object:
    """What is no preset at all is for the engine to refuse."""
    if not isinstance(preset, dict):
        return preset
    return {"id": ids.get(str(preset.get("name"))) or str(uuid4())} | preset
