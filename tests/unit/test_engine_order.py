"""The order of one batch: commit, say, have it stored, acknowledge; over a store in memory and a bus with a log."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.msg import Msg

from tests.builders import CountedIds, a_template
from tests.bus_messages import CHAT, a_create, a_stored, an_id
from workspaced.app.batch import Decider
from workspaced.app.clock import utc_now
from workspaced.app.engine import Engine
from workspaced.app.metrics import Metrics
from workspaced.app.store_watch import StoreWatch
from workspaced.app.typical import TypicalTimes
from workspaced.bus.moments import Moments
from workspaced.bus.publish import Publisher
from workspaced.fsm.settings import Settings
from workspaced.store.memory import MemoryStore

TEMPLATE = a_template()
INPUT = a_stored(
    f"ws.cmd.{CHAT}.create",
    a_create(template_id=TEMPLATE.id, organization_id=TEMPLATE.organization_id),
    ack="$JS.ACK.EVENTS.engine.5",
)


class Bus:
    """As much of a NATS client as an engine needs: it notes what is said, and answers when it is let."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self._answers: Callable[[Msg], Awaitable[None]]
        self._kept: list[str] = []
        self.holding = False
        """Nothing is answered for now."""
        self.said = asyncio.Event()
        self.stats = {"reconnects": 0}

    def new_inbox(self) -> str:
        """Any."""
        return "_INBOX.x"

    async def subscribe(self, _subject: str, cb: Callable[[Msg], Awaitable[None]], **_limits: int) -> None:
        """For the answers of streams."""
        self._answers = cb

    async def publish(self, subject: str, body: bytes, reply: str = "", headers: dict[str, str] | None = None) -> None:
        """Note it; a stream's answer comes later, as it would."""
        del headers
        self._log.append("ack" if body == b"+ACK" else f"say {subject.split('.')[1]}")
        if reply:
            self._kept.append(reply)
        self.said.set()
        if not self.holding:
            self.answer()

    def answer(self) -> None:
        """Say that all of it is stored."""
        for reply in self._kept:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._stored(reply))
        self._kept = []

    async def _stored(self, reply: str) -> None:
        self._log.append("stored")
        await self._answers(Msg(self, subject=reply, data=b"{}"))  # type: ignore[arg-type]  # no client


class Place:
    """An engine, its store and its bus."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.bus, self.store = Bus(self.log), MemoryStore()
        moments, metrics = Moments(), Metrics()
        moments.at["after_commit"] = self._committed
        self._publisher = Publisher(self.bus)  # type: ignore[arg-type]  # as much of it as it needs
        decider = Decider(
            self.store,
            StoreWatch(self.store),
            clock=utc_now,
            ids=CountedIds(),
            defaults=Settings(),
            typical=TypicalTimes(),
            metrics=metrics,
            moments=moments,
        )
        self.engine = Engine(self.bus, decider, self._publisher, metrics, moments, lambda _: None)  # type: ignore[arg-type]  # as above

    async def open(self) -> None:
        """With a template."""
        await self._publisher.start()
        await self.store.put_template(TEMPLATE, an_id(900))

    async def _committed(self) -> None:
        self.log.append("commit")


@pytest.fixture
async def place() -> Place:
    """Ready for a create."""
    place = Place()
    await place.open()
    return place


async def test_nothing_is_said_before_the_commit(place: Place) -> None:
    """A transaction that is lost has told nobody anything."""
    await place.engine.work([INPUT])

    assert place.log[0] == "commit"
    assert sorted(place.log[1:5]) == ["say chat", "say job", "say timer", "say timer"]


async def test_nothing_is_acknowledged_before_all_is_stored(place: Place) -> None:
    """An engine that dies meanwhile gets the input again."""
    place.bus.holding = True
    work = asyncio.create_task(place.engine.work([INPUT]))
    said = asyncio.create_task(place.bus.said.wait())
    await asyncio.wait({work, said}, return_when=asyncio.FIRST_COMPLETED)
    before = list(place.log)
    place.bus.holding = False
    place.bus.answer()
    await work

    assert "ack" not in before
    assert place.log[-5:] == ["stored"] * 4 + ["ack"]


async def test_a_redelivery_says_it_all_again(place: Place) -> None:
    """The engine before may have died after its commit; nothing is decided anew."""
    await place.engine.work([INPUT])
    first, rows = sorted(place.log), len(place.store.tables.transitions)
    place.log.clear()

    await place.engine.work([INPUT])

    assert sorted(place.log) == first
    assert len(place.store.tables.transitions) == rows
