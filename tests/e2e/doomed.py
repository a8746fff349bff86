"""An engine as a process that kills itself: `doomed.py MOMENT BATCH`, its ServeConfig as JSON on stdin.

It works once it has taken at least BATCH messages, so that all of them are in hand when MOMENT comes. An empty MOMENT
never comes. `between_effects` is when the first half of a batch's effects is out.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Sequence

import msgspec

from workspaced.app.config import ServeConfig
from workspaced.app.moments import Moments
from workspaced.app.serve import Server
from workspaced.bus.publish import Message, Publisher
from workspaced.bus.pull import Intake
from workspaced.bus.stored import Stored

take, publish = Intake.take, Publisher.publish


async def die() -> None:
    """SIGKILL, to ourselves."""
    os.kill(os.getpid(), signal.SIGKILL)


def take_at_least(number: int) -> None:
    """Have every batch hold so many messages."""

    async def take_many(intake: Intake) -> Sequence[Stored]:
        batch = await take(intake)
        while len(batch) < number:
            batch = [*batch, *await take(intake)]
        return batch

    Intake.take = take_many  # type: ignore[assignment,method-assign]  # a larger batch than arrived


def die_between_effects() -> None:
    """Publish half of what is to be published, then die."""

    async def publish_half(publisher: Publisher, messages: Iterable[Message]) -> None:
        given = list(messages)
        if len(given) < 2:  # nothing to die between
            await publish(publisher, given)
        else:
            await publish(publisher, given[: len(given) // 2])
            await die()

    Publisher.publish = publish_half  # type: ignore[assignment,method-assign]  # it dies in mid-flow


async def main(moment: str, number: int) -> None:
    """Serve until death."""
    moments = Moments()
    if moment == "between_effects":
        die_between_effects()
    elif moment:
        moments.at[moment] = die
    take_at_least(number)
    server = Server(msgspec.json.decode(sys.stdin.buffer.read(), type=ServeConfig), moments)
    await server.start()
    print("serving", flush=True)  # noqa: T201  # the parent waits for it
    await server.failed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
