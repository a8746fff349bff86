"""Tools over a scripted client: repeated commands, odd answers, limits (domain.md 3.1 and 3.2)."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from tests.bus_messages import CHAT, ORGANIZATION, OWNER, an_id
from tests.dialing import a_workspace, bound, stopped
from tests.fake_clock import FakeClock, settle
from workspaced.bus.chat_client import WorkspacedClient
from workspaced.bus.messages import Reply
from workspaced.bus.watch import Watch
from workspaced.fsm.commands import Command
from workspaced.fsm.errors import BadRequest, Conflict, Unavailable, Validation, WorkspacedError
from workspaced.fsm.names import name_fault
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State
from workspaced.tools.call import ToolCall, ToolSettings
from workspaced.tools.ids import RepeatableIds
from workspaced.tools.offer import run_tool
from workspaced.tools.result import ToolResult, some


class Feeds:
    """Pushes what the test says."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []

    async def join(self, _: str, watch: Watch, *, current: bool) -> bool:
        """Nothing is offered by itself."""
        self.watches.append(watch)
        return current

    async def leave(self, _: str, watch: Watch) -> None:
        """Offer nothing more."""
        self.watches.remove(watch)


class ScriptedClient(WorkspacedClient):
    """Answers commands as the test says."""

    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers = list(answers)
        self.commands: list[Command] = []
        self.feeds = Feeds()

    def watch(self, chat_id: str, *, current: bool = True) -> Watch:
        """The test's pushes."""
        return Watch(self.feeds, chat_id, current=current)  # type: ignore[arg-type]  # as much as a watch needs

    async def send(self, command: Command) -> Reply:
        """The next answer."""
        self.commands.append(command)
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def get(self, chat_id: str) -> Snapshot:  # noqa: ARG002  # as the client's
        """A stopped workspace."""
        return stopped()

    @property
    def ids(self) -> list[str]:
        """The request ids of what was sent."""
        return [command.request_id for command in self.commands]

    def push(self, snapshot: Snapshot) -> None:
        """Tell whoever watches."""
        for watch in self.feeds.watches:
            watch.offer(snapshot)


def a_call(client: WorkspacedClient, call_id: str = "R", clock: FakeClock | None = None, **settings: Any) -> ToolCall:  # noqa: ANN401  # as ToolSettings'
    """A call in the chat."""
    return ToolCall(
        client=client,
        chat_id=CHAT,
        owner=OWNER,
        organization_id=ORGANIZATION,
        id=call_id,
        clock=clock or FakeClock(),
        settings=ToolSettings(**settings),
    )


def created(version: int = 5) -> Snapshot:
    """A start build that nobody has taken."""
    pending = a_workspace(job_status="pending")
    return replace(bound(version), state=State.CREATING, workspace=pending, agent_id=None, agent=None)


QUEUED = Reply("queued", None)
CREATE = {"template_id": an_id(8)}


async def test_queued_is_asked_again() -> None:
    """With the same request_id, until it is decided."""
    client = ScriptedClient(QUEUED, QUEUED, Reply("exists", bound()))
    result = await run_tool("start_workspace", a_call(client), {})

    assert result == ToolResult({"started": True, "workspace_name": "dev", "no_build": True})
    assert client.ids == ["R", "R", "R"]


async def test_queued_for_good() -> None:
    """It will happen, and the model is told how to learn of it."""
    client = ScriptedClient(QUEUED, QUEUED, QUEUED, QUEUED)
    result = await run_tool("start_workspace", a_call(client), {})

    assert result.is_error
    assert str(result.content).startswith("load chat: the command is taken and will be carried out")
    assert len(client.ids) == 3


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("create_workspace", "boom"),
        ("start_workspace", "start workspace: boom"),
        ("stop_workspace", "stop workspace: boom"),
    ],
)
async def test_internal_errors(tool: str, text: str) -> None:
    """500: the text, with a prefix for all but create."""
    result = await run_tool(tool, a_call(ScriptedClient(WorkspacedError("boom"))), CREATE)

    assert result == ToolResult(text, is_error=True)


@pytest.mark.parametrize("tool", ["create_workspace", "start_workspace", "stop_workspace"])
async def test_unavailable(tool: str) -> None:
    """503 and no answer."""
    result = await run_tool(tool, a_call(ScriptedClient(Unavailable("the store is away"))), CREATE)

    assert result == ToolResult("load chat: the store is away", is_error=True)


async def test_structured_error() -> None:
    """Detail or validations make a structure; start adds the template."""
    refused = BadRequest("no", detail="why", validations=(Validation("cpu", "too many"),))
    expected = {"error": "no", "detail": "why", "validations": [{"field": "cpu", "detail": "too many"}]}

    assert await run_tool("create_workspace", a_call(ScriptedClient(refused)), CREATE) == ToolResult(expected)
    assert await run_tool("start_workspace", a_call(ScriptedClient(refused)), {}) == ToolResult(
        expected | {"template_id": an_id(8)}
    )


async def test_other_conflicts_are_sent_once() -> None:
    """Only a clash of names is worth another try."""
    client = ScriptedClient(Conflict("this request_id was used for another request; use a fresh one"))
    result = await run_tool("create_workspace", a_call(client), CREATE | {"name": "dev"})

    assert result == ToolResult("this request_id was used for another request; use a fresh one", is_error=True)
    assert len(client.ids) == 1


async def test_the_second_name_is_the_same_again() -> None:
    """A repeated call sends what it sent before, or the engine would refuse the request_id."""
    clash = Conflict("a workspace with this name already exists", validations=(Validation("name", "dev is taken"),))
    names = []
    for _ in range(2):
        client = ScriptedClient(clash, Reply("exists", bound()))
        await run_tool("create_workspace", a_call(client), CREATE | {"name": "dev"})
        names.append([getattr(command, "name", None) for command in client.commands])

        assert client.ids == ["R", "R.2"]

    assert names[0] == names[1]
    assert names[0][0] == "dev"
    assert name_fault(str(names[0][1])) is None


@pytest.mark.parametrize("call_id", ["", "with space", "ü", "x" * 121, "a\nb"])
async def test_call_ids_that_are_not_fit(call_id: str) -> None:
    """They are hashed: always the same, never refused."""
    call = a_call(ScriptedClient(), call_id)

    assert call.request_id(1) == a_call(ScriptedClient(), call_id).request_id(1)
    assert call.request_id(1).isalnum()
    assert call.request_id(2) == f"{call.request_id(1)}.2"
    assert len(call.request_id(99)) <= 128


async def test_the_limit_counts_from_the_call() -> None:
    """Time that passed before the reply is not given again; what the reply said is told."""
    clock, answer = FakeClock(), asyncio.Event()

    class Slow(ScriptedClient):
        async def send(self, command: Command) -> Reply:
            await answer.wait()
            return await super().send(command)

    client = Slow(Reply("accepted", created(), created().build_id))
    running = asyncio.create_task(run_tool("create_workspace", a_call(client, clock=clock), CREATE))
    await clock.pass_time(22 * 60)
    answer.set()
    result = await running
    assert isinstance(result.content, dict)

    assert result.content["error"].endswith(
        "timed out waiting for workspace build: creating since 2026-03-04T05:06:07.000890Z"
    )
    assert clock.waiting == 0


async def test_canceled_before_the_reply() -> None:
    """There is nothing to tell yet: the cancellation is the answer."""
    never = asyncio.Event()

    class Silent(ScriptedClient):
        async def send(self, command: Command) -> Reply:  # noqa: ARG002  # as the client's
            await never.wait()
            raise AssertionError

    client = Silent()
    running = asyncio.create_task(run_tool("create_workspace", a_call(client), CREATE))
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert client.feeds.watches == []


async def test_old_pushes_are_dropped() -> None:
    """What is not newer than the reply does not end a wait."""
    client = ScriptedClient(Reply("accepted", created(5), created().build_id))
    running = asyncio.create_task(run_tool("create_workspace", a_call(client), CREATE))
    await settle()
    client.push(bound(4))
    await settle()

    assert not running.done()

    client.push(bound(6))

    assert (await running).content == {
        "created": True,
        "workspace_name": "ada/dev",
        "build_id": created().build_id,
    }
    assert client.feeds.watches == []


async def test_the_connection_is_closed_meanwhile() -> None:
    """Nobody can be waited for any more."""
    client = ScriptedClient(Reply("accepted", created(), created().build_id))
    running = asyncio.create_task(run_tool("create_workspace", a_call(client), CREATE))
    await settle()
    client.feeds.watches[0].end(Unavailable("the connection to NATS is closed"))

    assert await running == ToolResult("load chat: the connection to NATS is closed", is_error=True)


def test_chance_that_repeats() -> None:
    """The same seed, the same names; another seed, others."""
    one, same, other = RepeatableIds("a"), RepeatableIds("a"), RepeatableIds("b")
    drawn = [one.below(1000) for _ in range(5)]

    assert drawn == [same.below(1000) for _ in range(5)] != [other.below(1000) for _ in range(5)]
    assert one.uuid() == same.uuid()


def test_what_is_left_out() -> None:
    """Empty, false, unknown; zero is something."""
    assert some(a=None, b="", c=[], d=False, e=0, f=0.0, g="x") == {"e": 0, "f": 0.0, "g": "x"}
