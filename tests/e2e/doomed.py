"""An engine as a process that ends itself: `doomed.py MOMENT END BATCH`, its ServeConfig as JSON on stdin.

It works once it has taken at least BATCH inputs, so that all of them are in hand when MOMENT comes. An empty MOMENT
never comes. `between_effects` is when the first half of a batch's effects is out. END is `die` (SIGKILL) or `stall`
(SIGSTOP; after SIGCONT it goes on, and says `done` when its batch is acknowledged).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from workspaced.app.config import ServeConfig
from workspaced.app.serve import Server
from workspaced.bus.decode import decode
from workspaced.bus.moments import Moments
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.pull import Intake
from workspaced.bus.stored import Stored
from workspaced.store import pool

take, publish = Intake.take, Publisher.publish


async def die() -> None:
    """SIGKILL, to ourselves."""
    os.kill(os.getpid(), signal.SIGKILL)


async def stall() -> None:
    """SIGSTOP, to ourselves."""
    os.kill(os.getpid(), signal.SIGSTOP)


async def done() -> None:
    """Tell the parent."""
    print("done", flush=True)  # noqa: T201  # the parent waits for it


SHORT = {"idle_in_transaction_session_timeout": "1s"}
ENDS = {"die": die, "stall": stall}


def take_at_least(number: int) -> None:
    """Have every batch hold so many messages."""

    async def take_many(intake: Intake) -> Sequence[Stored]:
        batch = await take(intake)
        while len({stored.key for stored in batch if decode(stored)}) < number:  # advisories of connects are none
            batch = [*batch, *await take(intake)]
        return batch

    Intake.take = take_many  # type: ignore[assignment,method-assign]  # a larger batch than arrived


def end_between_effects(end: Callable[[], Awaitable[None]]) -> None:
    """Publish half of what is to be published, then end."""

    async def publish_half(publisher: Publisher, messages: Iterable[Message]) -> None:
        given = list(messages)
        if len(given) < 2:  # nothing to die between
            await publish(publisher, given)
        else:
            await publish(publisher, given[: len(given) // 2])
            Publisher.publish = publish  # type: ignore[method-assign]  # once
            await end()
            await publish(publisher, given[len(given) // 2 :])

    Publisher.publish = publish_half  # type: ignore[assignment,method-assign]  # it ends in mid-flow


async def main(moment: str, end: str, number: int) -> None:
    """Serve until death."""
    pool.SESSION = {**pool.SESSION, **SHORT}  # type: ignore[assignment]  # for whoever waits for what we stall with
    moments = Moments()
    moments.at["after_ack"] = done

    async def come_to_the_end() -> None:
        moments.at.pop(moment, None)  # once: what is decided again after a stall is let through
        await ENDS[end]()
        if moment == "after_ack":
            await done()

    if moment == "between_effects":
        end_between_effects(come_to_the_end)
    elif moment:
        moments.at[moment] = come_to_the_end
    take_at_least(number)
    server = Server(msgspec.json.decode(sys.stdin.buffer.read(), type=ServeConfig), moments)
    await server.start()
    print("serving", flush=True)  # noqa: T201  # the parent waits for it
    await server.failed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
