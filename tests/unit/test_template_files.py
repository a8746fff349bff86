"""Templates in folders, which may be somebody else's: what a folder may not smuggle in."""

import os
from pathlib import Path

import pytest

from workspaced.app.template_files import read_template, read_templates
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


def test_a_folder_of_templates(folder: Path, tmp_path: Path) -> None:
    """Each folder and each file of it, by name; what belongs to none is left alone."""
    (tmp_path / "other.json").write_text('{"name": "other"}')
    (tmp_path / "README.md").write_text("all of ours")
    (tmp_path / ".git").mkdir()

    assert [template["name"] for template in read_templates(tmp_path)] == ["other", "plain"]
    assert read_templates(folder) == [read_template(folder)]


def test_one_of_many_is_wrong(folder: Path) -> None:
    """It is named, and none is taken."""
    (folder.parent / "empty").mkdir()

    with pytest.raises(BadRequest, match=r"empty has neither template\.toml"):
        read_templates(folder.parent)


def test_a_folder_of_nothing(tmp_path: Path) -> None:
    """A wrong path is said."""
    with pytest.raises(BadRequest, match="nor templates in folders or files"):
        read_templates(tmp_path)


def test_a_template_elsewhere(folder: Path, tmp_path: Path) -> None:
    """A link in a folder of templates leads nowhere else either."""
    many = tmp_path / "many"
    many.mkdir()
    (many / "plain").symlink_to(folder)

    with pytest.raises(BadRequest, match="leads out of its folder"):
        read_templates(many)
