"""From messages to committed rows: decode, load, decide, write. What cannot be used is set aside and stops nothing."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Final

from msgspec import Struct, field

from workspaced.app.metrics import Metrics
from workspaced.app.store_watch import FIRST_WAIT, LONGEST_WAIT, StoreWatch
from workspaced.app.typical import TypicalTimes
from workspaced.bus.decode import decode
from workspaced.bus.moments import Moments
from workspaced.bus.stored import Stored
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.apply import apply
from workspaced.fsm.errors import ErrorBody, Unavailable, UndecodableMessage, VersionConflict, WorkspacedError
from workspaced.fsm.ids import Ids
from workspaced.fsm.inputs import Input
from workspaced.fsm.needs import names_asked, needs_of
from workspaced.fsm.rows import Changes
from workspaced.fsm.settings import Settings
from workspaced.fsm.world import Said, World
from workspaced.store.errors import RefusedByStore
from workspaced.store.port import Store

MOST_CONFLICTS: Final = 20
"""A batch that loses so many races in a row holds an input that can never be written."""

_log = logging.getLogger(__name__)


class Decided(Struct):
    """What became of inputs, committed."""

    said: list[Said] = field(default_factory=list)
    dead: list[tuple[str, UndecodableMessage]] = field(default_factory=list)
    """(key of the input, why nobody can use it)."""

    def join(self, other: "Decided") -> "Decided":
        """Both, in order."""
        return Decided(self.said + other.said, self.dead + other.dead)


def decode_all(batch: Sequence[Stored]) -> tuple[list[Input], list[tuple[str, UndecodableMessage]]]:
    """The inputs of a batch in order, and the messages that are none."""
    inputs, dead = [], []
    for stored in batch:
        try:
            item = decode(stored)
        except UndecodableMessage as fault:
            dead.append((stored.key, fault))
        else:
            if item is not None:
                inputs.append(item)
    return inputs, dead


class Decider:
    """Decides inputs against the store, one transaction per batch."""

    def __init__(  # noqa: PLR0913  # the parts of a process, put together in one place
        self,
        store: Store,
        watch: StoreWatch,
        *,
        clock: Callable[[], datetime],
        ids: Ids,
        defaults: Settings,
        typical: TypicalTimes,
        metrics: Metrics,
        moments: Moments,
        secrets: AgentSecrets | None = None,
    ) -> None:
        self._store, self._watch, self._secrets = store, watch, secrets
        self._clock, self._ids, self._defaults = clock, ids, defaults
        self._typical, self._metrics, self._moments = typical, metrics, moments
        self._entering = asyncio.Lock()
        """Batches ask for their locks in the order in which they were taken, so that none overtakes on a workspace."""

    async def decide(self, inputs: Sequence[Input]) -> Decided:
        """Decide and commit, however long the store is away.

        An input that the store refuses, or that the core stumbles over, is found by halving, and is dead.
        """
        if not inputs:
            return Decided()
        try:
            return await self._together(inputs)
        except RefusedByStore as error:
            reason = error.detail or str(error)
        except Exception as error:  # noqa: BLE001  # a fault of ours must not stop everybody else's chats
            _log.exception("could not decide %d inputs", len(inputs))
            reason = type(error).__name__
        if len(inputs) == 1:
            return Decided(dead=[(inputs[0].key, UndecodableMessage("refused_by_store", reason))])
        half = len(inputs) // 2
        return (await self.decide(inputs[:half])).join(await self.decide(inputs[half:]))

    async def _together(self, inputs: Sequence[Input]) -> Decided:
        conflicts, outages = 0, 0
        while True:
            try:
                decided = await self._once(inputs, again=conflicts > 0)
            except VersionConflict as error:
                self._metrics.conflict()
                _log.debug("deciding %d inputs again: %s", len(inputs), error.detail)
                conflicts += 1
                if conflicts == MOST_CONFLICTS:
                    raise RefusedByStore(detail=f"lost {conflicts} races: {error.detail}") from None
            except Unavailable as error:
                self._watch.failed(error)
                await self._watch.back()
                # It may answer and yet be of no use, read-only or without a table: not again at once, then.
                await asyncio.sleep(min(outages * FIRST_WAIT, LONGEST_WAIT).total_seconds())
                outages += 1
            except Exception:
                self._watch.worked()  # whatever is wrong, it is not the store
                raise
            else:
                self._watch.worked()
                return decided

    async def _once(self, inputs: Sequence[Input], *, again: bool) -> Decided:
        began, dead = time.monotonic(), []
        async with AsyncExitStack() as stack:
            async with self._entering:
                batch = await stack.enter_async_context(self._store.batch(needs_of(inputs, self._defaults)))
            await self._moments.reach("after_load")
            world = World(batch.loaded, self._clock(), self._ids, self._defaults, self._typical.of, self._secrets)
            if asked := names_asked(world, inputs, generated=again):
                world.taken = await batch.taken_names(asked)
            for item in inputs:
                try:
                    apply(world, item)
                except UndecodableMessage as fault:
                    dead.append((item.key, fault))
            changes = world.changes()
            if any(getattr(changes, name) for name in Changes.__struct_fields__):
                await batch.write(changes)
            await self._moments.reach("after_write")
        await self._moments.reach("after_commit")
        self._typical.note(changes.transitions)
        self._metrics.committed(changes, time.monotonic() - began)
        return Decided([world.said], dead)


INTERNAL: Final[tuple[int, ErrorBody]] = (WorkspacedError.status, WorkspacedError().body())
