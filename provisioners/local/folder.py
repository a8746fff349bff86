"""A workspace's folder: `<root>/<workspace_id>/`, with what the provisioner must remember in `agent.json`.

Scripts run there with our rights, so nothing in it is trusted to be what we left: files are replaced by rename, logs
are opened without following links, and deleting never leaves the root.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from workspaced.bus.tokens import is_uuid
from workspaced.fsm.values import Id
from workspaced.provisioners.own_file import open_own, read_own
from workspaced.provisioners.processes import Process

STATE: Final = "agent.json"
PRIVATE: Final = ".workspaced"
"""Our own part of the folder: scripts, configurations with passwords, logs."""

LOG_BYTES: Final = 1_048_576
"""An agent's log that is longer begins anew at the agent's next start."""


class AgentRecord(Struct, frozen=True):
    """An agent that should run. Pid and start time name its process for good; both null before its first start."""

    id: Id
    name: str
    created_at: datetime
    pid: int | None = None
    started: str | None = None

    @property
    def process(self) -> Process | None:
        """The process that was started last."""
        return Process(self.pid, self.started) if self.pid is not None and self.started is not None else None


class WorkspaceRecord(Struct, frozen=True):
    """`agent.json`: which agents should run, for which build; none when the workspace is stopped."""

    workspace_id: Id
    build_id: Id
    job_id: Id
    agents: tuple[AgentRecord, ...] = ()


class Folder:
    """One workspace's folder, there or not."""

    def __init__(self, root: Path, workspace_id: str) -> None:
        """Raises ValueError when the id is none, so that no path can leave `root`."""
        if not is_uuid(workspace_id):
            raise ValueError("a workspace's id must be a UUID in canonical lower case")
        self.workspace_id = workspace_id
        self.path = root.resolve() / workspace_id
        self.private = self.path / PRIVATE

    @property
    def exists(self) -> bool:
        """Whether a job made it before."""
        return self.path.is_dir()

    def make(self) -> None:
        """Make the folder, for its owner only. Raises OSError, also when something else stands in its place."""
        for path in (self.path, self.private):
            if path.is_symlink():
                path.unlink()
            path.mkdir(mode=0o700, exist_ok=True)

    def record(self) -> WorkspaceRecord | None:
        """What `agent.json` says; None without one, or when it cannot be understood any more."""
        try:
            record = msgspec.json.decode(read_own(self.path / STATE), type=WorkspaceRecord)
        except (OSError, ValueError, RecursionError):
            return None
        return record if record.workspace_id == self.workspace_id else None

    def write_record(self, record: WorkspaceRecord) -> None:
        """Replace `agent.json`, all or nothing."""
        self.write(self.path / STATE, msgspec.json.format(msgspec.json.encode(record)))

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file, all or nothing, readable by its owner only."""
        new = path.with_name(f"{path.name}.new")
        with suppress(FileNotFoundError):
            new.unlink()
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        new.replace(path)

    def open_log(self, path: Path) -> int:
        """A file descriptor that appends to `path`. Raises OSError, also when a link or a pipe stands in its place."""
        if self.private.is_symlink():
            raise NotADirectoryError(f"{PRIVATE} is a link")
        with suppress(OSError):
            if path.stat(follow_symlinks=False).st_size > LOG_BYTES:
                path.unlink()
        return open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def remove(self) -> None:
        """Remove the folder with all that is in it; of a link only the link. Raises OSError."""
        if self.path.is_symlink():
            self.path.unlink()
        elif self.path.exists():
            try:
                shutil.rmtree(self.path)
            except PermissionError:
                # Directories that nobody may write to, as package caches have them.
                for parent, names, _ in os.walk(self.path):
                    for path in (Path(parent), *(Path(parent, name) for name in names)):
                        if not path.is_symlink():
                            path.chmod(0o700)
                shutil.rmtree(self.path)

    def agent_file(self, agent_id: str, name: str) -> Path:
        """A file that belongs to one agent: `config.json`, `agent.log`, `startup.log`."""
        return self.private / f"{agent_id}.{name}"


def folders(root: Path) -> Iterator[Folder]:
    """Every workspace's folder under `root`."""
    with suppress(FileNotFoundError):
        for entry in sorted(root.iterdir()):
            if is_uuid(entry.name) and not entry.is_symlink():
                yield Folder(root, entry.name)
