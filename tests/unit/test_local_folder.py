"""The workspace's folder: what it never does, whatever stands in its place."""

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from workspaced.provisioners.local.folder import LOG_BYTES, AgentRecord, Folder, WorkspaceRecord, folders
from workspaced.provisioners.own_file import LONGEST


def new_id() -> str:
    """A fresh id."""
    return str(uuid.uuid4())


@pytest.mark.parametrize(
    "workspace_id", ["..", "../x", "/etc", "", "X" * 36, "A2B4C6D8-0000-4000-8000-00000000000A", "a" * 36]
)
def test_only_ids_are_folders(tmp_path: Path, workspace_id: str) -> None:
    """So no path can leave the root."""
    with pytest.raises(ValueError, match="must be a UUID"):
        Folder(tmp_path, workspace_id)


def test_record_comes_back(tmp_path: Path) -> None:
    """As it was written, readable by its owner only."""
    folder = Folder(tmp_path, new_id())
    folder.make()
    agent = AgentRecord(new_id(), "main", datetime(2026, 1, 2, tzinfo=UTC), 7, "boot:8")
    record = WorkspaceRecord(folder.workspace_id, new_id(), new_id(), (agent,))
    folder.write_record(record)

    assert folder.record() == record
    assert (folder.path / "agent.json").stat().st_mode & 0o777 == 0o600
    assert [found.workspace_id for found in folders(tmp_path)] == [folder.workspace_id]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b"[]", b'{"x": "\xff"}', b'{"x":' * 20_000, b" " * (LONGEST + 1)],
    ids=["empty", "fields", "byte", "list", "text", "depth", "length"],
)
def test_record_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """A script may have overwritten it; the workspace can still be built and deleted."""
    folder = Folder(tmp_path, new_id())
    folder.make()
    (folder.path / "agent.json").write_bytes(content)

    assert folder.record() is None


def test_what_stands_in_the_place_of_a_record_is_none(tmp_path: Path) -> None:
    """A pipe is not waited for, which would stop the provisioner; a link to a record is none."""
    folder, other = Folder(tmp_path, new_id()), Folder(tmp_path, new_id())
    for each in (folder, other):
        each.make()
    os.mkfifo(folder.path / "agent.json")
    record = WorkspaceRecord(other.workspace_id, new_id(), new_id())
    (tmp_path / "elsewhere.json").write_bytes(msgspec.json.encode(record))
    (other.path / "agent.json").symlink_to(tmp_path / "elsewhere.json")

    assert folder.record() is None
    assert other.record() is None


def test_record_of_another_workspace_is_none(tmp_path: Path) -> None:
    """A copied folder does not make its agents ours."""
    one, other = Folder(tmp_path, new_id()), Folder(tmp_path, new_id())
    one.make()
    other.make()
    other.write_record(WorkspaceRecord(other.workspace_id, new_id(), new_id()))
    (other.path / "agent.json").rename(one.path / "agent.json")

    assert one.record() is None


def test_links_are_replaced_not_followed(tmp_path: Path) -> None:
    """What a script linked elsewhere is not written to."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    folder = Folder(tmp_path, new_id())
    folder.path.mkdir()
    folder.private.symlink_to(outside)
    folder.make()
    target = folder.private / "startup.sh"
    target.symlink_to(outside / "file")
    folder.write(target, b"new")

    assert target.read_text() == "new"
    assert (outside / "file").read_text() == "kept"
    assert sorted(path.name for path in outside.iterdir()) == ["file"]


def test_log_is_not_opened_through_a_link(tmp_path: Path) -> None:
    """An agent's output goes into the folder or nowhere."""
    folder = Folder(tmp_path, new_id())
    folder.make()
    log = folder.agent_file(new_id(), "agent.log")
    log.symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        folder.open_log(log)


@pytest.mark.parametrize("read", [True, False])
def test_log_is_not_opened_as_a_pipe(tmp_path: Path, *, read: bool) -> None:
    """Somebody may read from it or not: the provisioner waits for nobody."""
    folder = Folder(tmp_path, new_id())
    folder.make()
    log = folder.agent_file(new_id(), "agent.log")
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK) if read else None
    with pytest.raises(OSError, match=r"is no file|No such device"):
        folder.open_log(log)
    if reader is not None:
        os.close(reader)


def test_log_is_not_opened_in_a_linked_folder(tmp_path: Path) -> None:
    """A script may put a link in the place of our part of its folder."""
    folder = Folder(tmp_path, new_id())
    folder.path.mkdir()
    folder.private.symlink_to(tmp_path)
    with pytest.raises(OSError, match="is a link"):
        folder.open_log(folder.agent_file(new_id(), "agent.log"))


def test_long_log_begins_anew(tmp_path: Path) -> None:
    """An agent that is started often does not fill the disk."""
    folder = Folder(tmp_path, new_id())
    folder.make()
    log = folder.agent_file(new_id(), "agent.log")
    log.write_bytes(b"x" * (LOG_BYTES + 1))
    fd = folder.open_log(log)
    os.write(fd, b"new")
    os.close(fd)

    assert log.read_bytes() == b"new"


def test_no_root_has_no_folders(tmp_path: Path) -> None:
    """Nothing was ever built there."""
    assert list(folders(tmp_path / "none")) == []
