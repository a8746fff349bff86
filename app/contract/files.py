"""The contract as files: what stands in `docs/contract/` and what `workspaced schema` prints."""

import json
from pathlib import Path
from typing import Any, Final

from workspaced.app.contract.asyncapi import PARTIES, document, key
from workspaced.app.contract.channels import CHANNELS, ENGINE
from workspaced.app.contract.examples import body_types
from workspaced.app.contract.schemas import standalone

_INTERNAL: Final = {key(channel) for channel in CHANNELS if channel.kind == "internal"}


def documents() -> dict[str, dict[str, Any]]:
    """Every file of the contract by its path in the folder."""
    found = {"asyncapi.json" if party == ENGINE else f"{party}.asyncapi.json": document(party) for party in PARTIES}
    return found | {f"schemas/{name}.json": schema for name, schema in schemas().items()}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each message's body by the message's name; none for what engines tell themselves."""
    return {
        name: standalone(body, name)
        for name, body in sorted(body_types().items())
        if body is not None and name not in _INTERNAL
    }


def text(content: dict[str, Any]) -> str:
    """A file's text."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path) -> list[Path]:
    """Write all files, drop those of messages that are gone; the paths of those that changed."""
    wanted = {folder / path: text(content) for path, content in documents().items()}
    changed = []
    for path in {*folder.glob("*.json"), *folder.glob("schemas/*.json")} - wanted.keys():
        path.unlink()
    for path, content in wanted.items():
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            changed.append(path)
    return changed
