"""`workspaced dial`: reach a chat's agent the way a chat daemon does, and say how long it took."""

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources

if TYPE_CHECKING:
    from workspaced.bus.dial import Dialer
    from workspaced.bus.messages import Pong

_SETTINGS = (
    "dial_validation_delay",
    "dial_limit",
    "resolve_attempts",
    "disconnected_advice_after",
    "discovery_limit",
)


@click.command()
@options.where
@click.option(
    "--repeat", type=click.IntRange(1, 100_000), default=1, metavar="N", help="Dial so often, each anew.  [1]"
)
@options.as_json
@options.chat
def dial(*, chat: str | None, repeat: int, as_json: bool, **flags: str | None) -> None:
    """Dial a chat's agent. With --json one line for each dial. Exit code 1 when the last one failed."""
    from workspaced.app.commands.session import find_chat, open_client, run
    from workspaced.app.render import print_json, say
    from workspaced.bus.dial import ping_dialer
    from workspaced.bus.dial_settings import DialSettings

    sources = Sources(flags, os.environ)
    chosen: dict[str, Any] = dict(sources.values(_SETTINGS))

    async def work() -> bool:
        async with open_client(sources) as client:
            chat_id = await find_chat(client, chat)
            dialer, told = ping_dialer(client, settings=DialSettings(**chosen)), {}
            try:
                for _ in range(repeat):
                    told = await _dial(dialer, chat_id)
                    if as_json:
                        print_json(told)
                    else:
                        say(told.get("error") or "agent {agent_id} is {lifecycle}: {ms} ms".format(**told))
            finally:
                await dialer.close()
        return "error" not in told

    if not run(work()):
        raise SystemExit(1)


async def _dial(dialer: "Dialer[Pong]", chat_id: str) -> dict[str, Any]:
    from workspaced.bus.dial_errors import DialError

    began = monotonic()
    try:
        with await dialer.dial(chat_id) as agent:
            ms = round((monotonic() - began) * 1000, 3)
            told = {
                "agent_id": agent.binding.agent_id,
                "build_id": agent.connection.build_id,
                "lifecycle": agent.connection.lifecycle,
                "switched": agent.switched,
                "requests": agent.requests,
                "ms": ms,
            }
    except DialError as error:
        return {"error": str(error)}
    dialer.drop(chat_id)  # the next one dials anew, and does not take the connection that is kept
    return told
