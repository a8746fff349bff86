"""Checks with their verdicts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Generic, Literal, Self, TypeVar

from msgspec import Struct

from workspaced.app.conformance.wire import Failed, Skipped

T = TypeVar("T")
Verdict = Literal["pass", "fail", "skip"]


class Check(Struct, Generic[T], frozen=True):
    """A duty, and how to see whether it is done."""

    name: str
    duty: str
    run: Callable[[T], Awaitable[None]]

    @classmethod
    def of(cls, run: Callable[[T], Awaitable[None]]) -> Self:
        """Named as the function is, whose docstring is the duty."""
        return cls(run.__name__.replace("_", "-"), (run.__doc__ or "").strip(), run)


class Result(Struct, frozen=True):
    """What came of a check; `reason` is empty for one that passed."""

    name: str
    duty: str
    verdict: Verdict
    reason: str = ""


async def results(
    checks: Sequence[Check[T]], ground: T, fault: Callable[[], str | None], only: Collection[str] = ()
) -> AsyncIterator[Result]:
    """Each check's result as it comes, in order; those not in `only` are left out when it names any.

    `fault` tells what became of the program when it ended by itself: that explains a failure better than silence does.
    """
    for check in checks:
        if only and check.name not in only:
            continue
        if gone := fault():
            yield Result(check.name, check.duty, "fail", gone)
            continue
        try:
            await check.run(ground)
        except Skipped as skipped:
            yield Result(check.name, check.duty, "skip", str(skipped))
        except Failed as failed:
            yield Result(check.name, check.duty, "fail", fault() or str(failed))
        else:
            yield Result(check.name, check.duty, "pass")
