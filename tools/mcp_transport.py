"""The MCP server over its two transports. Needs the extra `mcp`."""

import asyncio
import io
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio
import uvicorn
from mcp.server import Server
from mcp.server.stdio import stdio_server
from starlette.types import ASGIApp, Receive, Scope, Send

STDOUT, STDERR = 1, 2
PATH: Final = "/mcp"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DRAIN_LIMIT: Final = 1
"""Seconds that calls get to be answered when the server is told to end; the machine goes on without them."""


class _Output(io.TextIOWrapper):
    """Standard output that says when nobody reads it any more; what else is printed goes to stderr from now on."""

    def __init__(self, gone: Callable[[], None]) -> None:
        super().__init__(os.fdopen(os.dup(STDOUT), "wb"), encoding="utf-8")
        os.dup2(STDERR, STDOUT)  # as the SDK does for an output of its own
        self._gone = gone

    def write(self, text: str, /) -> int:
        with self._noticing():
            return super().write(text)

    def flush(self) -> None:
        with self._noticing():
            super().flush()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._gone()
            raise


async def serve_stdio(server: Server[Any], gone: Callable[[], None]) -> None:
    """Serve the one client at stdin and stdout until it closes stdin; `gone` is called when it listens no more.

    That ends nothing here: a thread of the SDK sits in a read of stdin, which nothing but its end interrupts.
    """
    output = anyio.wrap_file(_Output(gone))
    async with stdio_server(stdout=output) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(
    server: Server[Any],
    listening: socket.socket,
    host: str,
    stopping: asyncio.Event,
    told: Callable[[], None],
    token: str | None = None,
) -> None:
    """Serve any number of clients by streamable HTTP until `stopping`; `told` hears when it answers.

    With `token` every request needs it as `Authorization: Bearer`. The SDK refuses foreign web pages (`Origin`, `Host`)
    where `host` is a loopback address; elsewhere the token does.
    """
    app: ASGIApp = server.streamable_http_app(streamable_http_path=PATH, host=host)
    if token:
        app = _demand(token, app)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=DRAIN_LIMIT, loop="none"
    )
    web = _Web(config, told)
    serving = asyncio.create_task(web.serve([listening]))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
    web.should_exit = True
    stop.cancel()
    await serving


class _Web(uvicorn.Server):
    """One that leaves signals to its caller and tells when it answers."""

    def __init__(self, config: uvicorn.Config, told: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._told()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _demand(token: str, app: ASGIApp) -> ASGIApp:
    wanted = f"Bearer {token}".encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not secrets.compare_digest(given, wanted):
            headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await app(scope, receive, send)

    return guarded
