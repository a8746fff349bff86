"""The MCP server over its two transports. Needs the extra `mcp`."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from mcp.server import Server
from mcp.server.stdio import stdio_server
from starlette.types import ASGIApp, Receive, Scope, Send

PATH: Final = "/mcp"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DRAIN_LIMIT: Final = 1
"""Seconds that calls get to be answered when the server is told to end; the machine goes on without them."""


async def serve_stdio(server: Server[Any]) -> None:
    """Serve the one client at stdin and stdout until it closes stdin."""
    async with stdio_server() as (incoming, outgoing):
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
