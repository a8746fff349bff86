"""What an engine's HTTP port tells: `/livez`, `/readyz` and `/metrics`."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.app.engine import Engine
from workspaced.app.health import Page, plain
from workspaced.app.parts import Parts
from workspaced.app.readiness import STORE, told
from workspaced.app.work import Work
from workspaced.bus import streams
from workspaced.bus.ask import Asker
from workspaced.bus.room import shares_used
from workspaced.fsm.errors import WorkspacedError

FULL: Final = 0.95
"""Of a stream's limit: the next message may be too much."""
STREAMS_PATIENCE: Final = timedelta(seconds=1)
"""How long a probe waits for the streams' figures."""


class EnginePages:
    """Looks at the parts of an engine whenever somebody asks."""

    def __init__(
        self, connection: Client, parts: Parts, engine: Engine, work: Work, asker: Asker, ending: asyncio.Event
    ) -> None:
        self._connection, self._engine, self._work, self._asker = connection, engine, work, asker
        self._store, self._watch, self._metrics = parts.store, parts.watch, parts.metrics
        self._ending = ending

    async def livez(self) -> Page:
        """That the process answers at all."""
        return plain(200, "alive")

    async def readyz(self) -> Page:
        """Whether it does its work, or what keeps it from that."""
        await self._watch.look()
        faults = self._faults(await self._shares_used())
        return plain(503, told(faults)) if faults else plain(200, "ready")

    async def metrics(self) -> Page:
        """For Prometheus."""
        shares = await self._shares_used()
        self._metrics.store_up.set(not self._watch.away)
        self._metrics.nats_up.set(self._connection.is_connected)
        self._metrics.faults(self._faults(shares))
        self._metrics.used(shares)
        if not self._watch.away:
            with suppress(WorkspacedError):  # then the length of before is told, and store_up says why
                self._metrics.queued.set(await self._store.queue_length())
        return 200, self._metrics.text(), "text/plain; version=0.0.4; charset=utf-8"

    def _faults(self, shares: dict[str, float]) -> dict[str, str]:
        """What is wrong, by the words of `FAULTS`, with what more is known of it."""
        connected, intake = self._connection.is_connected, self._work.intake
        more = {
            "held_back": self._engine.held_back,
            "silent": ", ".join(intake.silent) if intake and connected else "",
            "refused": self._asker.refused,
        }
        found = {
            "ending": self._ending.is_set(),
            "nats_away": not connected,
            f"{STORE}{self._watch.cause}": self._watch.away,
            "held_back": bool(more["held_back"]),
            "not_taking": intake is None,
            "silent": bool(more["silent"]),
            "refused": bool(more["refused"]),
            "events_full": shares.get(streams.EVENTS, 0) >= FULL,
        }
        return {word: more.get(word, "") for word, wrong in found.items() if wrong}

    async def _shares_used(self) -> dict[str, float]:
        """How full the streams are; nothing when nobody tells in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAMS_PATIENCE.total_seconds()):
                return await shares_used(self._connection) if self._connection.is_connected else {}
        return {}
