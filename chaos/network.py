"""Links of a chaos run that can be cut: packets vanish both ways, and nobody is told.

The run moves into a network namespace of its own, where the servers listen; each program gets one with a pair of veth
to each server that it uses. None of them has a name: the kernel takes a namespace and its links away with the last
process in it, however that one ends.
"""

import asyncio
import ctypes
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from workspaced.app.embedded import Servers
from workspaced.app.embedded_nats import NatsServer
from workspaced.app.embedded_postgres import PostgresServer

CLONE_NEWNET: Final = 0x40000000
TRIAL: Final = ["unshare", "--net", "ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]
LOOPBACK: Final = ["ip", "link", "set", "lo", "up"]
NETS: Final = {"nats": 1, "postgres": 2}
"""Server to the second byte of its links' addresses."""

TRUST: Final = "local all all trust\nhost all all 10.0.0.0/8 trust\n"
"""Nobody outside the namespace gets at Postgres."""


def move_apart() -> str:
    """Move this process and its later children into a network namespace of their own; or why that cannot be."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run(TRIAL, capture_output=True, text=True, check=False)
    if tried.returncode:
        return tried.stderr.strip() or "unshare could not"
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        return "this process may not have a network namespace of its own"
    subprocess.run(LOOPBACK, check=True)
    return ""


@dataclass
class Place:
    """Where a program runs and how it reaches the servers: in our own namespace, without a link."""

    nats_url: str = ""
    dsn: str = ""
    entry: Sequence[str] = ()
    """What its command begins with."""

    async def open(self) -> None:
        """Make it."""

    async def close(self) -> None:
        """Take it away, once its program has ended."""


class Apart(Place):
    """A namespace of its own, number `number`, with a link to each server."""

    def __init__(self, servers: Servers, number: int) -> None:
        self._number = number
        port = servers.nats.url.rpartition(":")[2]
        super().__init__(
            f"nats://{self._address('nats')}:{port}", f"postgresql://postgres@{self._address('postgres')}/postgres"
        )
        self._holder: asyncio.subprocess.Process
        """Keeps the namespace while its program is away; ends with our end of its pipe, so at the latest with us."""
        self._cuts: Counter[str] = Counter()

    async def open(self) -> None:
        """Make the namespace and its links."""
        pipe = asyncio.subprocess.PIPE
        # A session of its own: Ctrl-C is for us.
        self._holder = await asyncio.create_subprocess_exec(
            "unshare", "--net", "cat", stdin=pipe, stdout=pipe, start_new_session=True
        )
        if self._holder.stdin and self._holder.stdout:
            self._holder.stdin.write(b"\n")
            await self._holder.stdout.readline()  # it is `cat` by now, and apart
        self.entry = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]
        for server in NETS:
            name = self._name(server)
            await _ip(
                f"link add {name} type veth peer name {name} netns {self._holder.pid}",
                f"address add {self._address(server)}/30 dev {name}",
                f"link set {name} up",
            )
            await _ip(
                f"address add {self._address(server, end=2)}/30 dev {name}",
                f"link set {name} up",
                "link set lo up",
                entry=self.entry,
            )

    async def close(self) -> None:
        """Let go of the namespace."""
        self._holder.kill()
        await self._holder.wait()

    @asynccontextmanager
    async def cut(self, server: str) -> AsyncIterator[None]:
        """Let nothing through to or from a server meanwhile; cuts of one link may overlap."""
        self._cuts[server] += 1
        await _ip(f"link set {self._name(server)} down")
        yield
        self._cuts[server] -= 1
        if not self._cuts[server]:
            await _ip(f"link set {self._name(server)} up")

    def _name(self, server: str) -> str:
        return f"{server}{self._number}"

    def _address(self, server: str, *, end: int = 1) -> str:
        """Of the link: 1 at the server's end, 2 at the program's."""
        return f"10.{NETS[server]}.{self._number}.{end}"


def reachable(folder: Path) -> Servers:
    """Both servers of `folder`, listening to links as well."""
    folder.mkdir(exist_ok=True)
    rules = folder / "pg_hba.conf"
    rules.write_text(TRUST)
    return Servers(
        NatsServer(folder, arguments=["--addr", "0.0.0.0"]),  # noqa: S104 - of our own namespace
        PostgresServer(folder, arguments=["-h", "0.0.0.0", "-c", f"hba_file={rules}"]),  # noqa: S104 - the same
    )


async def _ip(*commands: str, entry: Sequence[str] = ()) -> None:
    process = await asyncio.create_subprocess_exec(*entry, "ip", "-batch", "-", stdin=asyncio.subprocess.PIPE)
    await process.communicate("\n".join(commands).encode() + b"\n")
    if process.returncode:
        raise RuntimeError(f"ip could not: {'; '.join(commands)}")
