"""`workspaced catch-up`: after a restore of Postgres."""

import os
from datetime import UTC, datetime

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.fsm.durations import parse_duration


@click.command("catch-up")
@click.argument("age", metavar="AGE")
@options.where
@options.settings(options.only("database_url"))
@options.as_json
def catch_up(*, age: str, as_json: bool, **flags: str | None) -> None:
    """Say again the events of the last AGE, such as 2h, that the restored database does not know.

    Run it after Postgres was restored from a backup and before engines start; AGE must reach back to the backup. It
    needs the role admin. The engines that start then ask everybody to tell again as well.
    """
    from workspaced.app.catch_up import catch_up as say_again
    from workspaced.app.commands.session import run
    from workspaced.app.render import print_json, say
    from workspaced.bus.connection import open_connection
    from workspaced.store.postgres import PostgresStore

    try:
        span = parse_duration(age)
    except ValueError as error:
        raise click.UsageError(f"AGE takes a duration such as 2h, not {age!r}: {error}") from None
    sources = Sources(flags, os.environ)
    login, since = sources.login("admin"), datetime.now(UTC) - span
    store = PostgresStore(sources.database_url(), pool_size=1)

    async def work() -> int:
        admin = await open_connection(
            login.url, user=login.user, password=login.password, inbox_prefix=login.inbox_prefix
        )
        try:
            await store.open()
            await store.check_schema()
            try:
                return await say_again(store, admin, since)
            finally:
                await store.close()
        finally:
            await admin.close()

    said = run(work())
    if as_json:
        print_json({"since": since, "messages": said})
    else:
        say(f"{said:,} messages since {since:%Y-%m-%d %H:%M:%S} UTC were said again; start the engines now")
