"""`/livez`, `/readyz` and `/metrics` on one small port. Three answers to GET need no web framework."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

LINE_LIMIT: Final = 8192
PATIENCE: Final = 5.0
"""Seconds a client may take to say what it wants."""

Page = tuple[int, bytes, str]
"""Status, body, content type."""
Pages = dict[str, Callable[[], Awaitable[Page]]]

_REASONS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def plain(status: int, text: str) -> Page:
    """A page of text."""
    return status, f"{text}\n".encode(), "text/plain; charset=utf-8"


class HealthServer:
    """Serves pages from its start until it is stopped."""

    def __init__(self) -> None:
        self._pages: Pages = {}
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self, host: str, port: int, pages: Pages) -> None:
        """Listen, and answer with `pages`; port 0 takes a free one. Raises OSError when the port is taken."""
        self._pages = pages
        self._server = await asyncio.start_server(self._serve, host, port, limit=LINE_LIMIT)
        bound = self._server.sockets[0].getsockname()
        self.url = f"http://{bound[0]}:{bound[1]}" if ":" not in bound[0] else f"http://[{bound[0]}]:{bound[1]}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                request = (await reader.readline()).decode("latin-1").split()
                while (await reader.readline()).strip():
                    pass
                status, body, kind = await self._answer(request)
                head = (
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: {kind}\r\n"
                    f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
                )
                writer.write(head.encode() + (b"" if request[:1] == ["HEAD"] else body))
                await writer.drain()
        except (OSError, ValueError, TimeoutError):  # gone, or not speaking HTTP
            pass
        finally:
            writer.close()

    async def _answer(self, request: list[str]) -> Page:
        if not request or request[0] not in {"GET", "HEAD"}:
            return plain(405, "only GET")
        page = self._pages.get(request[1].partition("?")[0] if len(request) > 1 else "")
        return await page() if page else plain(404, f"there are {', '.join(self._pages)}")
