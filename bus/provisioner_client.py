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
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from workspaced.bus import subjects
from workspaced.bus.job_in_hand import Handler, JobCanceled, JobFailed, JobIds, JobInHand, failure
from workspaced.bus.job_queue import JobQueue
from workspaced.bus.until_stored import ask, publish_until_stored
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport, BuildCreated
from workspaced.fsm.values import JobStatus, Parameters, Transition

_log = logging.getLogger(__name__)

FORCE_LIMIT: Final = 5.0
"""Seconds that a handler may go on after it was cancelled by force; then it is left behind."""

CONFIRM_LIMIT: Final = 2.0
"""Seconds to wait for the server's word on an acknowledgement."""


class ProvisionerClient:
    """Jobs of one tag, at most `concurrency` at once."""

    def __init__(
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
    ) -> None:
        """`worker` defaults to host and pid; `extend` to a third of the lease, which the tag's consumer knows."""
        self.worker = worker or f"{socket.gethostname()}:{os.getpid()}"[:256]
        self.in_hand: dict[str, JobInHand] = {}
        self._nc = nc
        self._queue = JobQueue(nc, tag, concurrency)
        self._attempts = attempts
        self._log_flush = log_flush
        self._cancel_grace = cancel_grace.total_seconds()
        self._extend = extend.total_seconds() if extend else None
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
        await self._queue.open()
        async for msg in self._queue:
            delivery = asyncio.create_task(self._work(msg, handler))
            self._deliveries[delivery] = msg
            delivery.add_done_callback(self._finished)
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
        left = dict(self._deliveries)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        for msg in left.values():
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
        subject = subjects.build_created(workspace_id)
        await publish_until_stored(self._nc, subject, msgspec.json.encode(body), body.id)

    # --- one job ------------------------------------------------------------------------------------------------------

    async def _work(self, msg: Msg, handler: Handler) -> None:
        """Have the job done for as long as its lease is ours."""
        try:
            ids = msgspec.json.decode(msg.data, type=JobIds)
        except msgspec.DecodeError as error:
            _log.error("%s names neither build nor workspace and is dropped: %s", msg.subject, error)
            await msg.term()
            return
        if former := self.in_hand.get(ids.job_id):
            former.lost.set()  # given away again by the server, to us as it happens: the former lease is over
            await former.ended.wait()
        attempt = msg.metadata.num_delivered
        hand = JobInHand(self._nc, ids, attempt=attempt, worker=self.worker, log_flush=self._log_flush)
        self.in_hand[ids.job_id] = hand
        work = asyncio.create_task(self._carry_out(msg, hand, handler))
        lease = asyncio.create_task(self._keep_lease(msg, hand))
        try:
            await asyncio.wait({work, lease}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if lease.done():
                hand.lost.set()
            for task in (work, lease):
                task.cancel()
            await asyncio.wait({work, lease})
            hand.build_log.drop()
            del self.in_hand[ids.job_id]
            hand.ended.set()
        if hand.lost.is_set():
            _log.warning("job %s: its lease was lost in attempt %d; left to whoever has it now", ids.job_id, attempt)
        elif fault := work.exception():
            _log.error("job %s could not be reported, so it will come again: %s", ids.job_id, fault)

    async def _carry_out(self, msg: Msg, hand: JobInHand, handler: Handler) -> None:
        async with self._slots:  # a request of a former connection may bring more than there is room for
            status, more = await self._outcome(msg, hand, handler)
            await hand.build_log.end()
            await hand.tell(status, **more)
            with suppress(Error):  # not confirmed: the job comes again and ends the same way
                await ask(self._nc, msg.reply, b"+ACK", CONFIRM_LIMIT)

    async def _outcome(self, msg: Msg, hand: JobInHand, handler: Handler) -> tuple[JobStatus, dict[str, Any]]:
        """Run the handler; the terminal status, and what else to report of it."""
        lost = hand.attempt - 1
        if lost >= self._attempts:
            return "failed", failure(
                JobFailed(f"Build has been detected as hung: its provisioner was lost {lost} times")
            )
        await hand.tell("running")
        try:
            job = msgspec.json.decode(msg.data, type=Job)
            agents = await self._attend(hand, asyncio.ensure_future(handler(job, hand)))
        except msgspec.DecodeError as error:
            return "failed", failure(JobFailed(f"the job cannot be read: {error}", retryable=False))
        except JobCanceled:
            return "canceled", {}
        except JobFailed as error:
            return "failed", failure(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the job must end
            _log.exception("job %s: the handler failed", msg.subject)
            return "failed", failure(
                JobFailed(f"the provisioner failed with an internal error ({type(error).__name__})")
            )
        return "succeeded", {"agents": tuple(agents)}

    async def _attend(self, hand: JobInHand, handling: asyncio.Future[Sequence[AgentReport]]) -> Sequence[AgentReport]:
        """Wait for the handler; on a cancel say so, give it the grace, then stop it by force."""
        canceled = asyncio.create_task(hand.canceled.wait())
        try:
            either: set[asyncio.Future[Any]] = {handling, canceled}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if hand.canceled.is_set():  # said also when the handler heeded it at once
                await hand.tell("canceling")
                await asyncio.wait({handling}, timeout=self._cancel_grace)
        finally:
            canceled.cancel()
            if not handling.done():
                handling.cancel()
                await asyncio.wait({handling}, timeout=FORCE_LIMIT)
        if not handling.done():
            _log.error("a canceled handler does not end; it is left behind")
            raise JobCanceled
        try:
            return handling.result()
        except asyncio.CancelledError:
            raise JobCanceled from None

    async def _keep_lease(self, msg: Msg, hand: JobInHand) -> None:
        """Extend the lease until it is lost: returns when the server gave the job away, or may have by now."""
        lease = self._queue.lease.total_seconds()
        extend = self._extend or lease / 3
        held_until = time.monotonic() + lease
        while (left := held_until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(extend, left)):
                    await hand.lost.wait()
                return
            asked_at = time.monotonic()
            if asked_at >= held_until:
                return  # stopped and resumed, or the loop was blocked: asking now might extend somebody else's lease
            with suppress(Error):
                await ask(self._nc, msg.reply, b"+WPI", min(extend, held_until - asked_at))
                held_until = asked_at + lease

    def _finished(self, delivery: asyncio.Task[None]) -> None:
        del self._deliveries[delivery]
        self._queue.done()
        if not delivery.cancelled() and (error := delivery.exception()):
            _log.error("a job was dropped by an error of ours", exc_info=error)

    async def _on_cancel(self, msg: Msg) -> None:
        job_id = msg.subject.rpartition(".")[2]
        if hand := self.in_hand.get(job_id):
            hand.canceled.set()

    async def _on_resync(self, msg: Msg) -> None:
        workspace_id = None if msg.subject == subjects.resync() else msg.subject.rpartition(".")[2]
        for hand in list(self.in_hand.values()):
            if workspace_id in {None, hand.workspace_id}:
                task = asyncio.create_task(hand.tell_again())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
