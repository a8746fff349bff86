"""What an engine makes good when it starts or NATS comes back: what nobody will tell it (design.md section 5).

Overdue deadlines are said again, the queue of builds is looked at, links that went with their server are settled, and
after NATS lost its storage every deadline is armed anew, jobs that nobody took are queued again, and everybody is asked
to tell what they know.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

from nats.aio.client import Client

from workspaced.bus.announce import effect_message, resync_message, timer_message
from workspaced.bus.look_up import acknowledged, stream_state
from workspaced.bus.presence import ask_presence
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.streams import ENGINE, EVENTS
from workspaced.fsm.agent_secret import AgentSecrets
from workspaced.fsm.builds import publish_again
from workspaced.fsm.effects import JobLimit, LinkLost, QueueTurn, SetTimer
from workspaced.fsm.facts import Build, job_status
from workspaced.fsm.ids import Ids
from workspaced.fsm.rows import Needs
from workspaced.fsm.settings import Settings, settings_in_force
from workspaced.fsm.world import World
from workspaced.store.port import Store

AT_ONCE: Final = 500
SERVER_ID: Final = re.compile("N[A-Z2-7]{55}")
"""How NATS servers are called. Of a connection that names no server nobody can tell whether it is there."""
EPOCHS: Final = "stream_epochs"
FIRST_WAIT: Final = timedelta(milliseconds=100)
LONGEST_WAIT: Final = timedelta(seconds=5)

_log = logging.getLogger(__name__)


class Recovery:
    """Brings NATS back to what Postgres says."""

    def __init__(
        self,
        connection: Client,
        store: Store,
        publisher: Publisher,
        *,
        clock: Callable[[], datetime],
        ids: Ids,
        defaults: Settings,
        secrets: AgentSecrets | None = None,
    ) -> None:
        self._connection, self._store, self._publisher = connection, store, publisher
        self._clock, self._ids, self._defaults, self._secrets = clock, ids, defaults, secrets
        self._servers: frozenset[str] = frozenset()

    async def make_good(self, epochs: dict[str, str]) -> None:
        """At start: overdue deadlines, or everything when the streams are not those of before. Raises Unavailable."""
        told = ",".join(f"{name}={epochs[name]}" for name in sorted(epochs))
        if (await self._store.marks()).get(EPOCHS) == told:
            await self._arm(self._clock())
        else:
            _log.info("the streams are new: arming every deadline and asking everybody to tell again")
            await self._arm(None)
            await self._queue_again()
            await self._publisher.publish([resync_message(self._clock())])
            await self._store.put_mark(EPOCHS, told)
        await self.settle_links()

    async def settle_links(self) -> None:
        """Take agents' connections that are not there any more for gone. Raises Unavailable."""
        async with aclosing(self._store.connected_agents()) as rows:
            linked = [(agent.id, agent.connection) async for agent in rows if agent.connection]
        linked = [(agent_id, connection) for agent_id, connection in linked if SERVER_ID.fullmatch(connection[0])]
        presence = await ask_presence(self._connection)
        self._servers = presence.servers
        now = self._clock()
        lost = [
            SetTimer(now, LinkLost(agent_id, *connection, certain=connection[0] in presence.servers))
            for agent_id, connection in linked
            if presence.gone(connection)
        ]
        for start in range(0, len(lost), AT_ONCE):
            await self._publisher.publish([timer_message(timer) for timer in lost[start : start + AT_ONCE]])
        if any(isinstance(timer.due, LinkLost) and not timer.due.certain for timer in lost):
            await self._publisher.publish([resync_message(now)])

    async def settle_late(self) -> None:
        """Settle once more when what was told until now is decided. Raises Unavailable.

        While EVENTS had no leader or no room the servers' own words were lost, and what an agent told before its link
        went may be decided only after the links were settled.
        """
        told = (await stream_state(self._connection, EVENTS)).last_sequence
        wait = FIRST_WAIT
        while await acknowledged(self._connection, EVENTS, ENGINE) < told:
            await asyncio.sleep(wait.total_seconds())
            wait = min(2 * wait, LONGEST_WAIT)
        await self.settle_links()

    def knows(self, server_id: str) -> bool:
        """Whether the server answered when links were settled last; one that did not may have taken another's place."""
        return not self._servers or server_id in self._servers

    async def _arm(self, only_overdue_at: datetime | None) -> None:
        async with aclosing(self._timers(only_overdue_at)) as timers:
            await self._publish_all(timer_message(timer) async for timer in timers)

    async def _timers(self, only_overdue_at: datetime | None) -> AsyncGenerator[SetTimer, None]:
        async with aclosing(self._store.timers(only_overdue_at)) as timers:
            async for timer in timers:
                yield timer
        settings, faults = settings_in_force(await self._store.settings(), self._defaults)
        for fault in faults:
            _log.warning("the stored setting %s is passed over: %s", fault.field, fault.detail)
        requested_by = started_by = None
        if only_overdue_at is not None:
            requested_by = only_overdue_at - settings.job_pending_limit
            started_by = only_overdue_at - settings.job_running_limit
        unfinished = self._store.unfinished_builds(requested_by=requested_by, started_by=started_by)
        async with aclosing(unfinished) as builds:
            async for build in builds:
                yield _limit(build, settings)
        if await self._store.queue_length():  # one look is for all
            yield SetTimer(self._clock(), QueueTurn(self._ids.uuid(), self._ids.uuid()))

    async def _queue_again(self) -> None:
        """Jobs that wait for a provisioner, from their rows."""
        async with aclosing(self._store.unfinished_builds()) as builds:
            pending = [build.workspace_id async for build in builds if job_status(build) == "pending"]
        for start in range(0, len(pending), AT_ONCE):
            loaded = await self._store.read(Needs(workspaces=tuple(sorted(pending[start : start + AT_ONCE]))))
            world = World(loaded, self._clock(), self._ids, self._defaults)
            jobs = [publish_again(world, facts) for facts in world.facts.values()]
            await self._publisher.publish(
                [effect_message(job, world.now, self._secrets) for job in jobs if job is not None]
            )

    async def _publish_all(self, messages: AsyncIterator[Message]) -> None:
        page: list[Message] = []
        async for message in messages:
            page.append(message)
            if len(page) == AT_ONCE:
                await self._publisher.publish(page)
                page = []
        await self._publisher.publish(page)


def _limit(build: Build, settings: Settings) -> SetTimer:
    if build.started_at is None:
        limit = JobLimit(build.workspace_id, build.job_id, "pending")
        since = build.released_at or build.requested_at
        return SetTimer(since + settings.job_pending_limit, limit)
    limit = JobLimit(build.workspace_id, build.job_id, "running")
    return SetTimer(build.started_at + settings.job_running_limit, limit)
