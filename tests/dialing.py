"""A scripted engine and a scripted connector for tests of the dial."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.bus_messages import AGENT, BUILD, CHAT, NOW, ORGANIZATION, OWNER, WORKSPACE, a_snapshot, an_id
from tests.fake_clock import FakeClock, settle
from workspaced.bus.attempt import Release
from workspaced.bus.dial import Dialer
from workspaced.bus.dial_errors import DialError
from workspaced.bus.dial_settings import DialSettings
from workspaced.bus.lent import Borrowed
from workspaced.bus.messages import Reply
from workspaced.bus.watch import Follower
from workspaced.fsm.chat import Failure
from workspaced.fsm.errors import NotFound, Unavailable
from workspaced.fsm.snapshot import AgentView, Snapshot, WorkspaceView
from workspaced.fsm.state import State
from workspaced.fsm.values import Link, Transition

OTHER_AGENT, OTHER_BUILD, OTHER_WORKSPACE = an_id(15), an_id(13), an_id(12)

AWAY = Unavailable("the engine is away")


def a_workspace(workspace_id: str = WORKSPACE, transition: Transition = "start", **fields: Any) -> WorkspaceView:  # noqa: ANN401  # any field
    """A running one."""
    known: dict[str, Any] = {
        "id": workspace_id,
        "name": "dev",
        "owner_id": OWNER.id,
        "owner_name": OWNER.name,
        "organization_id": ORGANIZATION,
        "template_id": an_id(8),
        "template_version_id": None,
        "transition": transition,
        "build_number": 1,
        "job_status": "succeeded",
        "deleted": False,
        "updated_to_active_version": False,
    }
    return WorkspaceView(**known | fields)


def bound(
    version: int = 5,
    agent_id: str = AGENT,
    build_id: str = BUILD,
    *,
    workspace_id: str = WORKSPACE,
    link: Link = "connected",
    external: bool = False,
    for_seconds: float = 0,
) -> Snapshot:
    """A ready chat; its agent's link is so since `for_seconds` before the clock's start."""
    since = FakeClock().now() - timedelta(seconds=for_seconds)
    return replace(
        a_snapshot(version, State.READY),
        workspace=a_workspace(workspace_id),
        build_id=build_id,
        agent_id=agent_id,
        agent=AgentView(name="main", external=external, link=link, link_since=since),
        lifecycle="ready",
    )


def stopped(version: int = 6) -> Snapshot:
    """A workspace, stopped."""
    return replace(a_snapshot(version), workspace=a_workspace(transition="stop"), build_id=OTHER_BUILD)


def building(version: int = 5) -> Snapshot:
    """A workspace whose agent is not known yet."""
    running = a_workspace(job_status="running")
    return replace(a_snapshot(version, State.BUILDING), workspace=running, build_id=BUILD)


def ambiguous(version: int = 5) -> Snapshot:
    """A workspace with two agents to choose from."""
    failure = Failure(State.BINDING, "selection_error", "multiple agents match", retryable=False)
    return replace(
        a_snapshot(version, State.FAILED), workspace=a_workspace(), build_id=BUILD, failure=failure, entered_at=NOW
    )


def deleted(version: int = 6) -> Snapshot:
    """A workspace that is gone."""
    return replace(a_snapshot(version), workspace=a_workspace(transition="delete", deleted=True))


class ScriptedEngine:
    """Answers as the test says, and counts."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.now: Snapshot | Exception | None = snapshot
        """What a `get` finds."""
        self.next: list[Snapshot | Exception | Awaitable[Snapshot]] = []
        """What the next ones find before that."""
        self.requests = 0
        self.reports: list[dict[str, str]] = []
        self.touched: list[str] = []
        self.followers: list[Follower] = []

    async def follow(self, chat_id: str, follower: Follower, /) -> bool:
        """Offers what is there."""
        if (snapshot := await self._find(chat_id)) is not None:
            follower.offer(snapshot)
        self.followers.append(follower)
        return True

    async def unfollow(self, _: str, follower: Follower, /) -> None:
        """Offers nothing more."""
        self.followers.remove(follower)

    async def get(self, chat_id: str, /) -> Snapshot:
        """The chat."""
        if (snapshot := await self._find(chat_id)) is None:
            raise NotFound
        return snapshot

    async def touch(self, chat_id: str, /) -> Reply:
        """Remembered."""
        self.touched.append(chat_id)
        return Reply("accepted", None)

    async def unreachable(self, chat_id: str, /, **named: str) -> Reply:
        """Remembered; nobody answers."""
        self.reports.append({"chat_id": chat_id} | named)
        raise AWAY

    def push(self, snapshot: Snapshot) -> None:
        """Tell every follower, and whoever asks from now on."""
        self.now = snapshot
        for follower in self.followers:
            follower.offer(snapshot)

    async def _find(self, _: str) -> Snapshot | None:
        self.requests += 1
        await asyncio.sleep(0)
        found = self.next.pop(0) if self.next else self.now
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Awaitable):
            return await found
        return found


class Line(Struct, eq=False):
    """A connection: to which agent, and which of the dials made it."""

    agent_id: str
    number: int
    build_id: str | None = None


class ScriptedConnector:
    """Every dial waits until the test lets it succeed or fail."""

    def __init__(self) -> None:
        self.dialed: list[str] = []
        self.released: list[int] = []
        self._outcomes: list[asyncio.Future[str | None]] = []

    async def __call__(self, agent_id: str) -> tuple[Line, Release]:
        """Dial."""
        number = len(self.dialed)
        self.dialed.append(agent_id)
        self._outcomes.append(asyncio.get_running_loop().create_future())
        build_id = await self._outcomes[number]

        async def release() -> None:
            self.released.append(number)

        return Line(agent_id, number, build_id), release

    def succeed(self, number: int, build_id: str | None = None) -> None:
        """Let a dial succeed."""
        self._outcomes[number].set_result(build_id)

    def fail(self, number: int, error: Exception | None = None) -> None:
        """Let a dial fail."""
        self._outcomes[number].set_exception(error or ConnectionRefusedError("nobody listens"))


class Scene:
    """A dialer with everything around it scripted."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.clock, self.engine, self.connector = FakeClock(), ScriptedEngine(snapshot), ScriptedConnector()
        self.rebound: list[str | None] = []
        self.with_ttl = False
        self.dialer: Dialer[Line] = Dialer(
            self.engine,
            self.connector,
            settings=DialSettings(),
            clock=self.clock,
            on_rebound=lambda snapshot: self.rebound.append(snapshot.agent_id),
            has_ttl=lambda _: self.with_ttl,
        )

    async def in_use(self) -> None:
        """The chat was used before: its snapshot is held and no connection is kept; requests count from here."""
        with suppress(DialError):
            await self.dialer.resolve(CHAT)
        self.engine.requests = 0

    def begin(self) -> "asyncio.Task[Borrowed[Line]]":
        """Dial, in the background."""
        return asyncio.create_task(self.dialer.dial(CHAT))

    async def begun(self) -> "asyncio.Task[Borrowed[Line]]":
        """A dial that has come as far as it can."""
        task = self.begin()
        await settle()
        return task

    async def kept(self) -> None:
        """A connection is kept, and nobody has it; requests count from here."""
        task = await self.begun()
        self.connector.succeed(len(self.connector.dialed) - 1)
        (await task).give_back()
        self.engine.requests = 0


# --- what a dial comes to ---------------------------------------------------------------------------------------------

NO_AGENT = "workspace has no running agent; it is likely stopped. Use start_workspace to start it"
NO_WORKSPACE = "no workspace is associated with this chat; use create_workspace to make one"
TIMED_OUT = "connection to the workspace agent timed out; it may be reachable on the next attempt"
DISCONNECTED = (
    "the workspace agent has been disconnected for at least 90 seconds; call stop_workspace and then start_workspace"
)
NEVER = (
    "the workspace agent never connected and its connection timeout has elapsed; "
    "call stop_workspace and then start_workspace"
)
REPORT = {"chat_id": CHAT, "workspace_id": WORKSPACE, "build_id": BUILD, "agent_id": AGENT}

Dial = asyncio.Task[Borrowed[Any]]


def failed(dial: Dial) -> tuple[str, str]:
    """Class and text of a dial's error."""
    assert dial.done()
    error = dial.exception()
    assert isinstance(error, DialError)
    return type(error).__name__, str(error)


def named(scene: Scene) -> list[dict[str, str]]:
    """Which triples were reported as not reachable."""
    return [{name: report[name] for name in REPORT} for report in scene.engine.reports]
