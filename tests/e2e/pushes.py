"""A chat daemon that knows only subjects and JSON: hears every push and can be waited for."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from workspaced.bus.connection import flush

LIMIT = 30.0
"""Seconds; a safety net."""

Push = dict[str, Any]


class Pushes:
    """Everything said on `ws.chat.>`, in the order of its arrival."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._news: dict[str, asyncio.Condition] = {}
        self.heard: dict[str, list[Push]] = {}
        """By chat."""

    async def start(self) -> None:
        """Hear all from now on."""
        await self._connection.subscribe("ws.chat.>", cb=self._on_message, pending_msgs_limit=-1)
        await flush(self._connection)

    async def until(self, chat_id: str, wanted: str | Callable[[Push], bool], after: int = 0) -> Push:
        """The first push of the chat, above version `after`, to that state or that is `wanted`."""
        accepts = wanted if callable(wanted) else lambda push: push["to"] == wanted
        news = self._news.setdefault(chat_id, asyncio.Condition())
        async with news, asyncio.timeout(LIMIT):
            while True:
                for push in self.heard.get(chat_id, ()):
                    if push["version"] > after and accepts(push):
                        return push
                await news.wait()

    def versions(self, chat_id: str) -> list[int]:
        """Of the pushes heard."""
        return [push["version"] for push in self.heard.get(chat_id, ())]

    def path(self, chat_id: str) -> list[tuple[str, str, str]]:
        """(from, to, what caused it) of the pushes heard."""
        return [(push["from"], push["to"], push["cause"]["event"]) for push in self.heard.get(chat_id, ())]

    async def _on_message(self, message: Msg) -> None:
        push: Push = json.loads(message.data)
        news = self._news.setdefault(push["chat_id"], asyncio.Condition())
        async with news:
            self.heard.setdefault(push["chat_id"], []).append(push)
            news.notify_all()
