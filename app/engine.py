"""The engine's loop (design.md section 5): take, decode, decide, commit, publish, acknowledge.

No input is acknowledged before its effects are out, and no effect goes out before it is committed. A crash in between
means redelivery: the rows tell that the input was applied, and what they recorded is said again under the same ids.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.app.batch import INTERNAL, Decided, Decider, decode_all
from workspaced.app.metrics import Metrics
from workspaced.app.room import Room
from workspaced.bus.announce import effect_message, messages_of
from workspaced.bus.ask import refusal_message, reply_message
from workspaced.bus.dead import dead_message
from workspaced.bus.decode import reply_inbox, server_that_connected
from workspaced.bus.messages import Reply
from workspaced.bus.moments import Moments
from workspaced.bus.publish import Message, NotStored, Publisher
from workspaced.bus.pull import Intake, ack, nak, term, working
from workspaced.bus.stored import Stored
from workspaced.bus.trace import trace_in
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.errors import UndecodableMessage
from workspaced.fsm.world import Answer

AT_ONCE: Final = 2
"""Batches in work: while one is published the next is decided. Row locks keep them apart, as they do two engines."""
FIRST_WAIT: Final = timedelta(milliseconds=100)
LONGEST_WAIT: Final = timedelta(seconds=5)
COMMANDS: Final = "ws.cmd."
HOLD: Final = timedelta(seconds=10)
"""How often a batch that cannot go on tells NATS that it is still held; well within the consumers' `ack_wait`."""

_log = logging.getLogger(__name__)


class Engine:
    """Works off what an intake brings, one batch at a time."""

    def __init__(
        self,
        connection: Client,
        decider: Decider,
        publisher: Publisher,
        metrics: Metrics,
        moments: Moments,
        on_server: Callable[[str], None],
        secrets: AgentSecrets | None = None,
        *,
        tenants: bool = False,
    ) -> None:
        """`on_server` hears the id of each NATS server that tells of a new connection; jobs get `secrets`.

        With `tenants` each announcement goes to its organization too.
        """
        self._connection, self._decider, self._publisher = connection, decider, publisher
        self._metrics, self._moments, self._on_server, self._secrets = metrics, moments, on_server, secrets
        self._tenants = tenants
        self._room = Room(connection)
        self.held_back = ""
        """Why NATS did not take what was last to be said, which is tried again; empty when it did."""

    async def run(self, intake: Intake) -> None:
        """Work until the intake has ended; then give back what was delivered and not taken. Raises as `Intake.take`."""
        turn = asyncio.Lock()
        try:
            ends = await asyncio.gather(*(self._keep_on(intake, turn) for _ in range(AT_ONCE)), return_exceptions=True)
        finally:
            await nak(self._connection, await intake.stop())
        for end in ends:
            if end is not None:
                raise end

    async def _keep_on(self, intake: Intake, turn: asyncio.Lock) -> None:
        try:
            while batch := await self._take(intake, turn):
                await self.work(batch)
                await self._room.after(len(batch))
        finally:
            intake.end()

    async def _take(self, intake: Intake, turn: asyncio.Lock) -> list[Stored]:
        async with turn:
            return await intake.take()

    async def work(self, batch: Sequence[Stored]) -> None:
        """One batch, from decoding to acknowledging."""
        self._metrics.taken(list(batch))
        link = self._link
        held = asyncio.create_task(self._hold(batch))
        try:
            inputs, undecodable = decode_all(batch)
            for server_id in filter(None, map(server_that_connected, batch)):
                self._on_server(server_id)
            await self._moments.reach("before_lock")
            decided = await self._decider.decide(inputs)
            dead = dict(undecodable + decided.dead)
            await self._publish(
                [
                    *_messages(decided, self._secrets, _traces(batch), tenants=self._tenants),
                    *self._put_aside(batch, dead),
                ]
            )
            await self._moments.reach("before_ack")
            await self._acknowledge(batch, dead, link)
            await self._moments.reach("after_ack")
        except asyncio.CancelledError:
            await nak(self._connection, batch)  # the next engine has it at once; what is committed is only said again
            raise
        finally:
            held.cancel()

    @property
    def _link(self) -> int:
        """Another one after each reconnect."""
        reconnects: int = self._connection.stats["reconnects"]
        return reconnects

    async def _acknowledge(self, batch: Sequence[Stored], dead: Container[str], link: int) -> None:
        """`link` is the one that brought the batch.

        Over another one it is only given back, and comes again: the server may have lost its storage meanwhile, and
        what the batch's numbers acknowledge would be messages that nobody has decided.
        """
        if link != self._link:
            await nak(self._connection, batch)
            return
        await ack(self._connection, (stored for stored in batch if stored.key not in dead))
        await term(self._connection, (stored for stored in batch if stored.key in dead))

    async def _publish(self, messages: Sequence[Message]) -> None:
        """Have every message stored, however long NATS is away or full."""
        began, wait = time.monotonic(), FIRST_WAIT
        while messages:
            try:
                await self._publisher.publish(messages)
            except NotStored as error:
                self.held_back = error.reason
                _log.warning("effects are held back: %s", error)
                await asyncio.sleep(wait.total_seconds())
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self.held_back = ""
                break
        self._metrics.published(time.monotonic() - began)

    def _put_aside(self, batch: Iterable[Stored], dead: dict[str, UndecodableMessage]) -> list[Message]:
        """Dead letters, and the answer that whoever waits for a dead command gets."""
        messages = []
        for stored in batch:
            if (fault := dead.get(stored.key)) is None:
                continue
            self._metrics.dead(fault.reason)
            messages.append(dead_message(stored, fault))
            # Others than engines may publish the rest, and the answer would go wherever they say.
            if stored.subject.startswith(COMMANDS) and (reply_to := reply_inbox(stored)):
                messages.append(refusal_message(reply_to, *INTERNAL))
        return messages

    async def _hold(self, batch: Sequence[Stored]) -> None:
        while True:
            await asyncio.sleep(HOLD.total_seconds())
            await working(self._connection, batch)


def _traces(batch: Iterable[Stored]) -> dict[str, str]:
    """The traceparent of each message that came with one, by the message's key."""
    return {stored.key: trace for stored in batch if (trace := trace_in(stored.headers))}


def _messages(
    decided: Decided, secrets: AgentSecrets | None, traces: Mapping[str, str], *, tenants: bool = False
) -> list[Message]:
    """All that is to be said: what each row recorded, the announcements, and last the answers."""
    messages = []
    for said in decided.said:
        organizations = said.organizations if tenants else None
        rows = (*said.replayed, *said.transitions)
        messages += messages_of(rows, traces=traces, secrets=secrets, organizations=organizations)
        of_builds = {row.build_id: traces[row.input_key] for row in rows if row.input_key in traces and row.build_id}
        messages += [effect_message(effect, said.at, secrets, of_builds) for effect in said.effects]
    return messages + [_answer(answer) for said in decided.said for answer in said.answers]


def _answer(answer: Answer) -> Message:
    row = answer.row
    if row.error is not None:
        return refusal_message(answer.reply_to, row.error_status or INTERNAL[0], row.error)
    reply = Reply(row.outcome or "accepted", answer.snapshot, row.build_id, answer.replayed)
    return reply_message(answer.reply_to, reply)
