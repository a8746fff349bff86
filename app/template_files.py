"""Templates in files: how a file, a folder, or a folder of such becomes templates is in docs/cli.md."""

import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from workspaced.bus.codec import MAX_BODY
from workspaced.fsm.errors import BadRequest

FILES: Final = ("template.toml", "template.json")
SCRIPTS: Final = {"startup.sh": "startup_script", "build.sh": "build_script"}
README: Final = "README.md"


def read_templates(path: Path) -> list[dict[str, Any]]:
    """The template in a file or folder; of a folder of templates all, by name. Raises BadRequest with what is wrong."""
    if not path.is_dir() or any((path / name).exists() for name in (*FILES, *SCRIPTS)):
        return [read_template(path)]
    found = [
        inner
        for inner in sorted(path.iterdir())
        if not inner.name.startswith(".") and (inner.is_dir() or inner.suffix in {".json", ".toml"})
    ]
    for inner in found:
        if not inner.resolve().is_relative_to(path.resolve()):
            raise BadRequest(f"{inner} leads out of its folder", code="invalid_template")
    if not found:
        text = f"{path} has neither {' nor '.join((*FILES, *SCRIPTS))}, nor templates in folders or files"
        raise BadRequest(text, code="invalid_template")
    return [read_template(inner) for inner in found]


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
