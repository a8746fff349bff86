"""Running coroutines as a program, until it is told to end."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

YOUNG: Final = 50_000
"""New objects before the search for cycles begins. A full batch makes thousands that are no cycles and die with it:
by Python's default of 700 a sixth of an engine's work is to look through them again and again."""


def run_service(main: Coroutine[Any, Any, T]) -> T:
    """Run a long-lived program, on uvloop where there is one: half of the latency of a batch is the loop's."""
    gc.set_threshold(YOUNG)
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


async def first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Return when the first of `waits` has ended, the others cancelled. Raises what it raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()
