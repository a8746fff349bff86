"""Templates as people keep them: by name, and in files. How a folder or file becomes a template is in docs/cli.md."""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.codec import MAX_BODY
from workspaced.bus.tokens import is_uuid
from workspaced.fsm.errors import BadRequest, NotFound
from workspaced.fsm.template import Template

FILES: Final = ("template.toml", "template.json")
SCRIPTS: Final = {"startup.sh": "startup_script", "build.sh": "build_script"}
README: Final = "README.md"


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


def read_template(path: Path) -> dict[str, Any]:
    """The template in a JSON or TOML file, or in a folder. Raises BadRequest with what is wrong."""
    if not path.is_dir():
        return _parse(path, _text(path))
    file = next((path / name for name in FILES if (path / name).exists()), None)
    template = _parse(file, _inside(path, file.name)) if file else {}
    template.setdefault("name", path.resolve().name)
    source = template.setdefault("source", {})
    if not isinstance(source, dict):
        raise BadRequest(f"{file}: source must be a table when the folder has scripts", field="source")
    for name, field in SCRIPTS.items():
        if (path / name).exists():
            source.setdefault(field, _inside(path, name))
    if (path / README).exists():
        template.setdefault("readme", _inside(path, README))
    if file is None and not source:
        raise BadRequest(f"{path} has neither {' nor '.join((*FILES, *SCRIPTS))}", code="invalid_template")
    return template


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        parsed = tomllib.loads(text) if path.suffix == ".toml" else msgspec.json.decode(text.encode())
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{path}: {error}", code="invalid_template") from None
    if not isinstance(parsed, dict):
        raise BadRequest(f"{path}: a template is an object with at least a name", code="invalid_template")
    return parsed


def _inside(folder: Path, name: str) -> str:
    """The text of a file in a folder that may be somebody else's: nothing of ours gets into a template by a link."""
    path = folder / name
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise BadRequest(f"{path} is no file of its folder", code="invalid_template")
    return _text(path)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BODY + 1)
        if len(content) > MAX_BODY:
            raise BadRequest(f"{path} is longer than a template may be", code="invalid_template")
        return content.decode()
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror}", code="invalid_template") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is not text in UTF-8", code="invalid_template") from None


async def with_known_id(client: WorkspacedClient, template: dict[str, Any]) -> dict[str, Any]:
    """The template with the id of the one it replaces: that of the same name in its organization."""
    if "id" in template:
        return template
    known = await all_templates(client, str(template["organization_id"]), str(template.get("name", "")))
    same = [each.id for each in known if each.name.lower() == str(template.get("name", "")).lower()]
    return template | {"id": same[0]} if same else template
