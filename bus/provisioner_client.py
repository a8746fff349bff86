"""What a provisioner's author uses: takes jobs, keeps their leases, reports each exactly once (domain.md section 9).

    client = ProvisionerClient(nc, "my-tag")
    await client.run(handler)        # until drain()

`nc` may be connected later: pass `client.reconnected` as its `reconnected_cb`, then jobs flow again at once after an
outage instead of after a few seconds.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, Error

from workspaced.bus import cloud_events, subjects
from workspaced.bus.codec import decode
from workspaced.bus.headers import one_line
from workspaced.bus.job_in_hand import Handler, JobIds, JobInHand
from workspaced.bus.job_queue import JobQueue
from workspaced.bus.job_work import JobWork, Terms
from workspaced.bus.moments import Moments
from workspaced.bus.trace import TRACEPARENT, trace_in
from workspaced.bus.until_stored import publish_until_stored
from workspaced.fsm.events import BuildCreated
from workspaced.fsm.values import Parameters, Transition

T = TypeVar("T")

_log = logging.getLogger(__name__)

REPORT_LIMIT: Final = 5.0
"""Seconds that a drain gives a job which is done and only has to be reported."""


class ProvisionerClient:
    """Jobs of one tag, at most `concurrency` at once."""

    def __init__(  # noqa: PLR0913  # what an operator may choose
        self,
        nc: Client,
        tag: str,
        *,
        worker: str | None = None,
        concurrency: int = 10,
        attempts: int = 3,
        log_flush: timedelta = timedelta(milliseconds=250),
        cancel_grace: timedelta = timedelta(minutes=10),
        extend: timedelta | None = None,
        moments: Moments | None = None,
        by_tag: bool = False,
        tenants: bool = False,
    ) -> None:
        """`worker` defaults to host and pid; `extend` to a third of the lease, which the tag's consumer knows.

        `by_tag`: reports name the tag in their subject, for a user that may speak for this tag alone. `tenants`: logs
        go to their organization too, whose users may follow them.
        """
        self._said_by, self._tenants = tag if by_tag else None, tenants
        self._source = cloud_events.provisioner(tag)
        self.worker = worker or f"{socket.gethostname()}:{os.getpid()}"[:256]
        self.in_hand: dict[str, JobInHand] = {}
        self._nc = nc
        self._queue = JobQueue(nc, tag, concurrency)
        self._terms = Terms(attempts, cancel_grace, extend)
        self._moments = moments or Moments()
        self._log_flush = log_flush
        self._slots = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries: dict[asyncio.Task[None], Msg] = {}

    async def run(self, handler: Handler) -> None:
        """Work until `drain`. Raises ConnectionClosedError when the connection is closed for good meanwhile."""
        listening = [
            await self._nc.subscribe(subjects.ALL_CANCELS, cb=self._on_cancel),
            await self._nc.subscribe(subjects.resync(), cb=self._on_resync),
            await self._nc.subscribe(subjects.ALL_RESYNC, cb=self._on_resync),
        ]
        try:
            await self._queue.open()
            async for msg in self._queue:
                delivery = asyncio.create_task(self._work(msg, handler))
                self._deliveries[delivery] = msg
                delivery.add_done_callback(self._finished)
        except ConnectionClosedError:
            for hand in self.in_hand.values():  # they can be neither kept nor reported any more
                hand.lost.set()
            raise
        finally:
            while self._deliveries:
                await asyncio.wait(self._deliveries)
        for subscription in listening:
            with suppress(Error):
                await subscription.unsubscribe()

    async def drain(self, limit: timedelta = timedelta(0)) -> None:
        """Take nothing more; what is not done within `limit` is stopped and given back to the queue."""
        await self._queue.close()
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=limit.total_seconds())
        for hand in list(self.in_hand.values()):
            if hand.finished:
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPORT_LIMIT):
                        await hand.ended.wait()
        await asyncio.sleep(0)  # those that ended are no deliveries any more
        left = dict(self._deliveries)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        for task, msg in left.items():
            if task.cancelled():
                with suppress(Error):
                    await msg.nak()
        with suppress(Error):
            await self._nc.flush()

    async def reconnected(self) -> None:
        """Ask for jobs anew: requests of the former connection are gone."""
        self._queue.ask_anew()

    async def build_created(
        self,
        workspace_id: str,
        build_id: str,
        build_number: int,
        transition: Transition,
        job_id: str,
        *,
        template_version_id: str | None = None,
        parameters: Parameters | None = None,
        initiator: str | None = None,
    ) -> None:
        """Announce a build that was begun elsewhere; returns when the announcement is stored."""
        body = BuildCreated(
            build_id,
            build_number,
            transition,
            job_id,
            id=str(uuid4()),
            at=datetime.now(UTC),
            template_version_id=template_version_id,
            parameters=parameters,
            initiator=initiator,
        )
        named = cloud_events.reported(body, "build.created", self._source)
        await publish_until_stored(self._nc, subjects.build_created(workspace_id), msgspec.json.encode(body), named)

    # --- one job ------------------------------------------------------------------------------------------------------

    async def _work(self, msg: Msg, handler: Handler) -> None:
        """Have the job done for as long as its lease is ours; reports name the job's trace, if it has one."""
        TRACEPARENT.set(trace_in(msg.headers))
        try:
            ids = decode(msg.data, JobIds)
        except ValueError as error:
            _log.error("%s names neither build nor workspace and is dropped: %s", one_line(msg.subject), error)
            await msg.term()
            return
        if former := self.in_hand.get(ids.job_id):
            former.lost.set()  # given away again by the server, to us as it happens: the former lease is over
            await former.ended.wait()
        hand = JobInHand(
            self._nc,
            ids,
            attempt=msg.metadata.num_delivered,
            worker=self.worker,
            log_flush=self._log_flush,
            source=self._source,
            tag=self._said_by,
            tenants=self._tenants,
        )
        self.in_hand[ids.job_id] = hand
        try:
            work = JobWork(self._nc, msg, hand, self._terms, self._queue.lease, self._moments)
            await work.run(handler, self._slots)
        finally:
            del self.in_hand[ids.job_id]
            hand.ended.set()

    def _finished(self, delivery: asyncio.Task[None]) -> None:
        del self._deliveries[delivery]
        self._queue.done()
        if not delivery.cancelled() and (error := delivery.exception()):
            _log.error("a job was dropped by an error of ours", exc_info=error)

    async def _on_cancel(self, msg: Msg) -> None:
        job_id = msg.subject.rpartition(".")[2]
        hand = self.in_hand.get(job_id)
        if hand is not None and _said(msg, _Canceled, lambda body: body.job_id == job_id):
            hand.canceled.set()

    async def _on_resync(self, msg: Msg) -> None:
        if not _said(msg, _Asked):
            return
        workspace_id = None if msg.subject == subjects.resync() else msg.subject.rpartition(".")[2]
        for hand in list(self.in_hand.values()):
            if workspace_id in {None, hand.workspace_id}:
                task = asyncio.create_task(hand.tell_again())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)


class _Canceled(Struct):
    job_id: str


class _Asked(Struct):
    at: datetime


def _said(msg: Msg, kind: type[T], fits: Callable[[T], bool] = lambda _: True) -> bool:
    """Whether an engine said `msg`: by its reply subject anybody has the server send an answer anywhere."""
    try:
        if fits(decode(msg.data, kind)):
            return True
        fault = "it is about something else"
    except ValueError as error:
        fault = str(error)
    _log.warning("%s is dropped: %s", one_line(msg.subject), fault)
    return False
