"""Templates in folders, which may be somebody else's: what a folder may not smuggle in."""

import os
from pathlib import Path

import pytest

from workspaced.app.template_files import read_template
from workspaced.fsm.errors import BadRequest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A template's."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "startup.sh").write_text("true")
    return folder


def test_a_folder_is_a_template(folder: Path) -> None:
    """Named after the folder, with its files; a link within it is fine."""
    (folder / "README.md").symlink_to("startup.sh")

    assert read_template(folder) == {"name": "plain", "source": {"startup_script": "true"}, "readme": "true"}


@pytest.mark.parametrize("name", ["template.toml", "template.json", "startup.sh", "build.sh", "README.md"])
@pytest.mark.parametrize("way", ["../secret", "absolute", "through a folder"])
def test_a_link_leads_nowhere_else(folder: Path, tmp_path: Path, name: str, way: str) -> None:
    """A file of whoever stores the template would be told to everybody who may read templates."""
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (folder / name).unlink(missing_ok=True)
    if way == "through a folder":
        (folder / "aside").symlink_to(tmp_path)
        (folder / name).symlink_to("aside/secret")
    else:
        (folder / name).symlink_to(secret if way == "absolute" else way)

    with pytest.raises(BadRequest, match="is no file of its folder"):
        read_template(folder)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    """Nor any other thing that is no file."""
    os.mkfifo(folder / "README.md")

    with pytest.raises(BadRequest, match="is no file of its folder"):
        read_template(folder)


def test_a_file_without_end(folder: Path) -> None:
    """It is not read into memory: no template is as long."""
    with (folder / "startup.sh").open("wb") as file:
        file.truncate(2**40)

    with pytest.raises(BadRequest, match="longer than a template may be"):
        read_template(folder)
