"""The request API as a NATS micro service (ADR-32): `$SRV.PING`, `INFO` and `STATS` find it, any client calls it.

`nats.micro` runs the handlers of one endpoint one after another and tells callers what went wrong inside. Here every
request is a task of its own, up to a limit, and nothing but our own errors leaves the process.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import Service as MicroService
from nats.micro.service import ServiceConfig

from workspaced.bus import subjects
from workspaced.bus.codec import encode
from workspaced.bus.connection import flush
from workspaced.bus.faults import encode_error, for_the_wire
from workspaced.bus.trace import TRACEPARENT, trace_in
from workspaced.fsm.errors import BadRequest

NAME: Final = "workspaced"
"""Of the service and of its queue group, which the engine's permissions pin."""
AT_ONCE: Final = 256
REPLIES: Final = ("_INBOX", "_R_")
"""Where answers go: to inboxes, and between accounts. Elsewhere they would be said in the engine's name."""

Handler = Callable[[bytes], Awaitable[object]]
"""Takes the request's body; its result is the reply's body: bytes as they are, anything else as JSON."""
TenantHandler = Callable[[bytes, str], Awaitable[object]]
"""The same for a sender who is limited to the organization that comes second."""
_Serving = Callable[[Request], Awaitable[object]]
Observer = Callable[[str, int, float], None]
"""Told of each request: verb, status (200 when all is well), seconds."""

_log = logging.getLogger(__name__)


class Service:
    """The endpoints `ws.api.<verb>` and `ws.org.*.api.<verb>` of one process; any number share the requests."""

    def __init__(
        self,
        connection: Client,
        handlers: Mapping[str, Handler],
        version: str,
        *,
        tenant_handlers: Mapping[str, TenantHandler] | None = None,
        at_once: int = AT_ONCE,
        observe: Observer | None = None,
    ) -> None:
        """`handlers` by verb (`create`, `templates.put`); `version` is a semantic one; `at_once` requests may run."""
        self._connection = connection
        self._handlers, self._tenant_handlers = handlers, tenant_handlers or {}
        self._version = version
        self._room = asyncio.Semaphore(at_once)
        self._observe = observe or _observe_nothing
        self._tasks: set[asyncio.Task[None]] = set()
        self._service: MicroService | None = None

    async def start(self) -> None:
        """Make the endpoints; from now on requests are answered."""
        config = ServiceConfig(
            name=NAME, version=self._version, description="gives every chat a workspace", queue_group=NAME
        )
        self._service = await add_service(self._connection, config)
        group = self._service.add_group(name=subjects.API_PREFIX)
        for verb, handler in self._handlers.items():
            await group.add_endpoint(
                name=verb.replace(".", "-"),
                subject=verb,
                queue_group=NAME,
                handler=self._starter(verb, _plain(handler)),
            )
        group = self._service.add_group(name=subjects.TENANT_API_PREFIX)
        for verb, limited in self._tenant_handlers.items():
            name = f"org-{verb.replace('.', '-')}"
            starter = self._starter(verb, _limited(limited))
            await group.add_endpoint(name=name, subject=verb, queue_group=NAME, handler=starter)
        await flush(self._connection)

    async def stop(self) -> None:
        """Take no more requests and finish those that were taken."""
        if self._service is not None:
            await self._service.stop()
            self._service = None
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _starter(self, verb: str, handler: _Serving) -> Callable[[Request], Awaitable[None]]:
        async def start(request: Request) -> None:
            if not request._msg.reply.startswith(REPLIES):  # noqa: SLF001  # the library keeps it to itself
                return
            await self._room.acquire()  # full: requests wait in the endpoint's subscription
            task = asyncio.create_task(self._serve(verb, handler, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return start

    async def _serve(self, verb: str, handler: _Serving, request: Request) -> None:
        began, status = time.monotonic(), 200
        TRACEPARENT.set(trace_in(request.headers))
        try:
            try:
                result = await handler(request)
                await request.respond(result if isinstance(result, bytes) else encode(result))
            except Exception as error:  # noqa: BLE001  # the border: whatever happens inside stays inside
                status = await self._respond_error(verb, request, error)
        except (NatsError, OSError) as error:
            _log.warning("the answer to %s was lost: %s", verb, type(error).__name__)
        finally:
            self._room.release()
            self._observe(verb, status, time.monotonic() - began)

    async def _respond_error(self, verb: str, request: Request, error: Exception) -> int:
        if isinstance(error, MaxPayloadError):
            error = BadRequest("the answer is larger than a message may be; ask for fewer at once", code="too_large")
        status, body = for_the_wire(error)
        if status == 500:  # noqa: PLR2004  # HTTP's own number
            _log.error("%s failed", verb, exc_info=error)
        data, headers = encode_error(status, body)
        await request.respond(data, headers)
        return status


def _plain(handler: Handler) -> _Serving:
    return lambda request: handler(request.data)


def _limited(handler: TenantHandler) -> _Serving:
    """The subject says which organization: NATS let nobody ask there who is not of it."""
    return lambda request: handler(request.data, subjects.tenant_of(request.subject))


def _observe_nothing(_verb: str, _status: int, _seconds: float) -> None:
    """Nobody counts."""
