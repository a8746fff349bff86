"""`workspaced prune`: the retention of history, for a timer of the operator's."""

import os
from datetime import UTC, datetime

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.fsm.durations import format_duration, parse_duration


@click.command()
@click.argument("age", metavar="AGE")
@options.settings(options.only("dir", "database_url", "events_age"))
@options.as_json
def prune(*, age: str, as_json: bool, **flags: str | None) -> None:
    """Forget history, answers and late reports older than AGE, such as 2160h (90 days).

    Each chat keeps its last transition. AGE must be longer than events wait in their stream (--events-age), for an
    event or a request that comes again after its row was forgotten counts as new. Engines may run meanwhile.
    """
    from workspaced.app.commands.session import run
    from workspaced.app.config import stream_limits
    from workspaced.app.render import print_json, say
    from workspaced.store.postgres import PostgresStore

    try:
        span = parse_duration(age)
    except ValueError as error:
        raise click.UsageError(f"AGE takes a duration such as 2160h, not {age!r}: {error}") from None
    sources = Sources(flags, os.environ)
    shortest, dsn = stream_limits(sources).events_age, sources.database_url()
    if span <= shortest:
        raise click.UsageError(
            f"AGE must be longer than {format_duration(shortest)}, for which events are kept (--events-age)"
        )
    before = datetime.now(UTC) - span

    async def work() -> int:
        store = PostgresStore(dsn, pool_size=1)
        await store.open()
        try:
            return await store.prune(before)
        finally:
            await store.close()

    gone = run(work())
    if as_json:
        print_json({"before": before, "rows": gone})
    else:
        say(f"{gone:,} rows from before {before:%Y-%m-%d %H:%M:%S} UTC are gone")
