"""Three NATS servers on this machine that are one cluster, each of which may be killed."""

import asyncio
import shutil
from pathlib import Path

from tests.servers import SHARED_AGENT, server_with_shared_agent
from workspaced.app.credentials import load_credentials
from workspaced.app.embedded_nats import HOST, NatsServer, free_port
from workspaced.app.server_process import ServerFailed

SIZE = 3


class NatsCluster:
    """The shipped nats.conf on each of them; what makes them one is said on their command lines (docs/outages.md)."""

    def __init__(self, folder: Path) -> None:
        self.credentials = load_credentials(folder, (SHARED_AGENT,))
        self.roles = self.credentials.roles()
        routes = [f"nats://{HOST}:{free_port()}" for _ in range(SIZE)]
        self.servers: list[NatsServer] = []
        for number, route in enumerate(routes):
            own = folder / str(number)
            own.mkdir()
            shutil.copy(folder / "secrets.json", own)
            words = ["--name", f"n{number}", "--cluster_name", "workspaced", "--cluster", route]
            self.servers.append(server_with_shared_agent(own, arguments=[*words, "--routes", ",".join(routes)]))

    @property
    def url(self) -> str:
        """All of them."""
        return ",".join(server.url for server in self.servers)

    async def start(self) -> None:
        """Start those that do not run."""
        await asyncio.gather(*(server.start() for server in self.servers if not runs(server)))

    async def stop(self) -> None:
        """End all."""
        await asyncio.gather(*(server.kill() for server in self.servers if runs(server)))


def runs(server: NatsServer) -> bool:
    """Whether it was started and not ended."""
    try:
        return server.pid > 0
    except ServerFailed:
        return False


class OneOf:
    """A cluster for whoever first connects to a certain one of its servers."""

    def __init__(self, cluster: NatsCluster, number: int) -> None:
        self.url = cluster.servers[number].url
        self.credentials, self.roles = cluster.credentials, cluster.roles
