"""Agents as a provisioner starts them, and what they say."""

import json
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
from nats.errors import Error

from workspaced.app.conformance.program import Program
from workspaced.app.conformance.server import Place, environ_of
from workspaced.app.conformance.wire import Failed, Said, Wire
from workspaced.bus import subjects
from workspaced.provisioners.agent.config import (
    CONFIG_VARIABLE,
    RESTARTED_VARIABLE,
    AgentConfig,
    NatsLogin,
)

GATED: Final = 'cd {folder}; while [ ! -e go ]; do [ -e startup.sh ] || exit 1; sleep 0.05; done; exit "$(cat go)"'
"""A startup script that goes on when it is told to, wherever its agent runs it, and ends when its folder is gone."""


class AgentRun:
    """One agent of one build, started."""

    def __init__(self, wire: Wire, config: AgentConfig, program: Program) -> None:
        self.wire, self.config, self.program = wire, config, program
        self.since = wire.now
        self._subject = f"ws.event.{config.workspace_id}.agent.{config.agent_id}"

    def is_report(self, said: Said, kind: str, state: str | None = None) -> bool:
        """Whether it is a report of this kind, for a lifecycle of that state."""
        return said.subject == f"{self._subject}.{kind}" and (state is None or said.json().get("state") == state)

    async def told(self, kind: str, state: str | None = None, *, since: int | None = None, count: int = 1) -> Said:
        """The first such report since then, or the `count`-th. Raises Failed when it does not come."""
        what = f"`{kind}`" if state is None else f"the lifecycle `{state}`"
        start = self.since if since is None else since
        return await self.wire.until(what, lambda said: self.is_report(said, kind, state), start, count=count)

    def reports(self) -> list[Said]:
        """Everything that it reported."""
        return self.wire.all(lambda said: said.subject.startswith(self._subject), self.since)

    def go(self, code: int) -> None:
        """Let its startup script end."""
        folder = Path(self.config.folder)
        (folder / "go.tmp").write_text(str(code))
        (folder / "go.tmp").rename(folder / "go")

    async def ping(self) -> bytes:
        """Its answer. Raises Failed when there is none."""
        try:
            answer = await self.wire.connection.request(
                subjects.ping(self.config.agent_id), b"{}", timeout=self.wire.patience_s
            )
        except (Error, TimeoutError) as error:
            raise Failed(f"ping is not answered: {error}") from None
        return answer.data

    def start(self, *, again: bool = False) -> None:
        """Start it; `again` when an earlier process was this agent."""
        self.program.start(**({RESTARTED_VARIABLE: "1"} if again else {}))


class AgentGround:
    """What the checks of an agent stand on."""

    def __init__(self, wire: Wire, place: Place, command: Sequence[str], log: Path | None) -> None:
        self.wire, self._place, self._command, self._log = wire, place, command, log
        self.door = place.door
        self._runs: list[AgentRun] = []
        self.all: list[AgentRun] = []

    async def begin(self, *, script_timeout: str = "0s") -> AgentRun:
        """An agent of a new build, whose startup script waits for `go`."""
        workspace_id, build_id, agent_id = (str(uuid4()) for _ in range(3))
        folder = self._place.folder / workspace_id
        folder.mkdir()
        script = folder / "startup.sh"
        script.write_text(GATED.format(folder=shlex.quote(str(folder))))
        secret = self._place.door.open_for(workspace_id, build_id)
        url = self._place.logins["provisioner"].url
        config = AgentConfig(
            workspace_id=workspace_id,
            build_id=build_id,
            agent_id=agent_id,
            agent_name="main",
            nats=NatsLogin(url, agent_id, f"{build_id}.{secret}", f"_INBOX_{agent_id}"),
            folder=str(folder),
            startup_script=str(script),
            startup_script_timeout=script_timeout,
        )
        run = AgentRun(self.wire, config, Program(self._command, self._environ(config), self._log))
        self._runs.append(run)
        self.all.append(run)
        run.start()
        return run

    def fault(self) -> str | None:
        """What became of the present one, when it should run and does not."""
        return next((fault for run in self._runs if (fault := run.program.fault())), None)

    def end(self) -> None:
        """Leave nothing running."""
        for run in self._runs:
            with suppress(Failed):
                run.go(0)
            run.program.close()
        self._runs.clear()

    @staticmethod
    def _environ(config: AgentConfig) -> dict[str, str]:
        path = Path(config.folder, "agent.json")
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(config))
        return (
            dict(os.environ)
            | environ_of(config.nats)
            | {
                CONFIG_VARIABLE: str(path),
                "AGENT_ID": config.agent_id,
                "AGENT_BUILD_ID": config.build_id,
                "AGENT_WORKSPACE_ID": config.workspace_id,
                "AGENT_STARTUP_SCRIPT": config.startup_script or "",
                "AGENT_STARTUP_SCRIPT_TIMEOUT": config.startup_script_timeout,
            }
        )


async def connections(wire: Wire) -> list[dict[str, Any]]:
    """The agents' connections as the server knows them, each with its server's id."""
    answer = await wire.connection.request(subjects.AGENTS_CONNECTED, b'{"auth": true}', timeout=wire.patience_s)
    told = json.loads(answer.data)
    return [one | {"server_id": told["server"]["id"]} for one in told["data"]["connections"]]
