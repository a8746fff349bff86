"""A job that a provisioner works on: what its handler sees of it, and what is reported about it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from nats.aio.client import Client

from workspaced.bus import cloud_events, subjects, tokens
from workspaced.bus.build_log import BuildLog
from workspaced.bus.until_stored import publish_until_stored
from workspaced.fsm.effects import Job
from workspaced.fsm.events import ERROR_LENGTH, AgentReport, JobReport
from workspaced.fsm.facts import Quota
from workspaced.fsm.values import Id, JobStatus


class JobFailed(Exception):
    """Raised by a handler: the job failed, and this is what its users may read."""

    def __init__(
        self,
        error: str,
        *,
        error_code: str | None = None,
        retryable: bool | None = None,
        quota: Quota | None = None,
    ) -> None:
        """`retryable` None lets the engine decide (domain.md 6.4); `INSUFFICIENT_QUOTA` is a code it knows."""
        super().__init__(error)
        self.error = error
        self.error_code = error_code
        self.retryable = retryable
        self.quota = quota


class JobCanceled(Exception):  # what happened, not an error
    """Raised by a handler that stopped because its job was canceled."""


class JobIds(msgspec.Struct, frozen=True):
    """What a report needs to name its job; read from a body of which nothing else can be read."""

    class Workspace(msgspec.Struct, frozen=True):
        """The job's workspace."""

        id: Id

    job_id: Id
    build_id: Id
    build_number: int
    workspace: Workspace
    organization_id: object = None


class JobInHand:
    """One attempt at a job: `log` to write to the build's log, `canceled` and `lost` to notice that it is over.

    `canceled`: somebody wants it stopped; stop gently and raise JobCanceled, or finish if it is nearly done. `lost`:
    another provisioner may have the job; the handler's task is cancelled and nothing more is published.
    """

    def __init__(  # what the client knows
        self,
        nc: Client,
        ids: JobIds | Job,
        *,
        attempt: int,
        worker: str,
        log_flush: timedelta,
        source: str,
        tag: str | None = None,
        tenants: bool = False,
    ) -> None:
        """`source` is who reports, for CloudEvents; with `tag` it is said in the subject too, where NATS checks it.

        With `tenants` the log's lines go to the job's organization too.
        """
        self.attempt = attempt
        self.canceled = asyncio.Event()
        self.lost = asyncio.Event()
        self.ended = asyncio.Event()
        self.status: JobStatus = "pending"
        """What was reported last."""
        self.finished = False
        """The handler has ended; the end is being reported."""
        self._nc = nc
        self._ids = ids
        self._worker, self._source = worker, source
        self._tag = tag
        tenant = str(ids.organization_id)
        self.build_log = BuildLog(
            nc,
            ids.workspace.id,
            ids.build_id,
            attempt=attempt,
            flush=log_flush,
            tenant=tenant if tenants and tokens.is_uuid(tenant) else None,
        )

    @property
    def workspace_id(self) -> str:
        """The workspace that the job is about."""
        return self._ids.workspace.id

    def log(self, stage: str, level: str, output: str) -> None:
        """Write lines to the build's log; anyone with the right to read `ws.log.>` sees them."""
        self.build_log.add(stage, level, output)

    async def tell(self, status: JobStatus, **more: Any) -> None:  # noqa: ANN401  # fields of JobReport
        """Report `status` and return when the stream has it; `more` are fields of JobReport."""
        self.status = status
        report = JobReport(
            self._ids.build_id,
            self._ids.build_number,
            self._ids.job_id,
            id=str(uuid4()),
            at=datetime.now(UTC),
            worker=self._worker,
            attempt=self.attempt,
            **more,
        )
        subject = subjects.job_event(self.workspace_id, status, self._tag)
        named = cloud_events.reported(report, f"job.{status}", self._source)
        await publish_until_stored(self._nc, subject, msgspec.json.encode(report), named)

    async def tell_again(self) -> None:
        """Report the present status once more, as `ws.resync` asks; a terminal one is being repeated anyway."""
        if self.status in {"running", "canceling"}:
            await self.tell(self.status)


Handler = Callable[[Job, JobInHand], Awaitable[Sequence[AgentReport]]]
"""What a provisioner's author writes: does the job and returns its agents (none for stop and delete).

It must be repeatable: after a lost lease the same job comes again, here or elsewhere. Raises JobFailed or JobCanceled;
any other exception fails the job with a text that shows its type only.
"""


def failure(error: JobFailed) -> dict[str, Any]:
    """The fields of JobReport for a failed job."""
    return {
        "error": error.error[:ERROR_LENGTH] or "the build failed without a reason",
        "error_code": error.error_code,
        "retryable": error.retryable,
        "quota": error.quota,
    }
