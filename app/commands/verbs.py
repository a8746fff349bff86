"""The commands that move a chat which has a row: start, stop, restart, delete, cancel."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources


def _command(verb: str, *extra: Callable[[Any], Any]) -> click.Command:
    """A command line for `verb`."""

    def call(*, chat: str | None, wait: bool, as_json: bool, request_id: str | None, **rest: Any) -> int:  # noqa: ANN401  # flags
        from workspaced.app.commands.session import find_chat, open_client, run
        from workspaced.app.commands.waiting import Asked, ask

        fields = {"parameters": options.pairs(rest.pop("parameters"), "--parameter") or None} if extra else {}
        sources = Sources(rest, os.environ)

        async def work() -> int:
            async with open_client(sources) as client:
                chat_id = await find_chat(client, chat)
                send: Callable[..., Awaitable[Any]] = getattr(client, verb)
                asked = Asked(verb, chat_id, lambda fresh: send(chat_id, request_id=fresh, **fields), request_id)
                return await ask(client, asked, wait=wait, as_json=as_json)

        return run(work())

    for decorate in (options.where, options.as_json, options.waiting, options.request_id, *extra, options.chat):
        call = decorate(call)
    return click.command(verb)(call)


start = _command("start", options.parameters)
stop = _command("stop")
restart = _command("restart", options.parameters)
delete = _command("delete")
cancel = _command("cancel")
