"""One job's way through a provisioner: its lease, its handler, its one terminal report (domain.md section 9)."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from workspaced.bus.codec import decode
from workspaced.bus.job_in_hand import Handler, JobCanceled, JobFailed, JobInHand, failure
from workspaced.bus.moments import Moments
from workspaced.bus.until_stored import ask
from workspaced.fsm.effects import Job
from workspaced.fsm.events import AgentReport
from workspaced.fsm.values import JobStatus

_log = logging.getLogger(__name__)

FORCE_LIMIT: Final = 5.0
"""Seconds that a handler may go on after it was cancelled by force; then it is left behind."""

CONFIRM_LIMIT: Final = 2.0
"""Seconds to wait for the server's word on an acknowledgement."""


class Terms(Struct, frozen=True):
    """How jobs are worked on, the same for all of a client."""

    attempts: int
    """Deliveries that are run; one more is reported as hung."""
    cancel_grace: timedelta
    extend: timedelta | None
    """How often leases are extended; None: three times per lease."""


class JobWork:
    """One delivery of a job, from `running` to the acknowledgement."""

    def __init__(self, nc: Client, msg: Msg, hand: JobInHand, terms: Terms, lease: timedelta, moments: Moments) -> None:
        """`lease` is how long the job is ours after each extension."""
        self._moments = moments
        self._nc = nc
        self._msg = msg
        self._hand = hand
        self._terms = terms
        self._lease = lease.total_seconds()

    async def run(self, handler: Handler, slots: asyncio.Semaphore) -> None:
        """Do the job for as long as its lease is ours; a job whose lease is lost is stopped and not reported."""
        work = asyncio.create_task(self._carry_out(handler, slots))
        lease = asyncio.create_task(self._keep_lease())
        try:
            await asyncio.wait({work, lease}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if lease.done():
                self._hand.lost.set()
            work.cancel()
            lease.cancel()
            await asyncio.wait({work, lease})
            self._hand.build_log.drop()
        if self._hand.lost.is_set():
            _log.warning("%s: the lease was lost in attempt %d", self._msg.subject, self._hand.attempt)
        elif fault := work.exception():
            _log.error("%s could not be reported, so it will come again: %s", self._msg.subject, fault)

    async def _carry_out(self, handler: Handler, slots: asyncio.Semaphore) -> None:
        async with slots:  # a request of a former connection may bring more than there is room for
            await self._moments.reach("job_taken")
            status, more = await self._outcome(handler)
            await self._moments.reach("job_done")
            self._hand.finished = True
            await self._hand.build_log.end()
            await self._hand.tell(status, **more)
            await self._moments.reach("end_told")
            with suppress(Error):  # not confirmed: the job comes again and ends the same way
                await ask(self._nc, self._msg.reply, b"+ACK", CONFIRM_LIMIT)
            await self._moments.reach("job_acknowledged")

    async def _outcome(self, handler: Handler) -> tuple[JobStatus, dict[str, Any]]:
        """Run the handler; the terminal status, and what else to report of it."""
        hand = self._hand
        lost = hand.attempt - 1
        if lost >= self._terms.attempts:
            return "failed", failure(
                JobFailed(f"Build has been detected as hung: its provisioner was lost {lost} times")
            )
        await hand.tell("running")
        await self._moments.reach("job_begun")
        try:
            job = decode(self._msg.data, Job)
        except ValueError as error:
            return "failed", failure(JobFailed(f"the job cannot be read: {error}", retryable=False))
        try:
            agents = await self._attend(asyncio.ensure_future(handler(job, hand)))
        except JobCanceled:
            return "canceled", {}
        except JobFailed as error:
            return "failed", failure(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the job must end
            _log.exception("%s: the handler failed", self._msg.subject)
            return "failed", failure(
                JobFailed(f"the provisioner failed with an internal error ({type(error).__name__})")
            )
        return "succeeded", {"agents": tuple(agents)}

    async def _attend(self, handling: asyncio.Future[Sequence[AgentReport]]) -> Sequence[AgentReport]:
        """Wait for the handler; on a cancel say so, give it the grace, then stop it by force."""
        canceled = asyncio.create_task(self._hand.canceled.wait())
        try:
            either: set[asyncio.Future[Any]] = {handling, canceled}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._hand.canceled.is_set():  # said also when the handler heeded it at once
                await self._hand.tell("canceling")
                await asyncio.wait({handling}, timeout=self._terms.cancel_grace.total_seconds())
        finally:
            canceled.cancel()
            if not handling.done():
                handling.cancel()
                await asyncio.wait({handling}, timeout=FORCE_LIMIT)
        if not handling.done():
            _log.error("%s: the canceled handler does not end; it is left behind", self._msg.subject)
            raise JobCanceled
        try:
            return handling.result()
        except asyncio.CancelledError:
            raise JobCanceled from None

    async def _keep_lease(self) -> None:
        """Extend the lease until it is lost: returns when the server gave the job away, or may have by now."""
        extend = self._terms.extend.total_seconds() if self._terms.extend else self._lease / 3
        held_until = time.monotonic() + self._lease
        while (left := held_until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(extend, left)):
                    await self._hand.lost.wait()
                return
            asked_at = time.monotonic()
            if asked_at >= held_until:
                return  # stopped and resumed, or the loop was blocked: asking now might extend somebody else's lease
            with suppress(Error):
                await ask(self._nc, self._msg.reply, b"+WPI", min(extend, held_until - asked_at))
                held_until = asked_at + self._lease
