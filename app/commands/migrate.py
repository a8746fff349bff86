"""`workspaced migrate`: what engines and provisioners need, made once at deployment."""

import os

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources
from workspaced.app.variables import STREAMS


@click.command()
@options.where
@options.settings(options.only("database_url"))
@options.tags
@options.settings(STREAMS)
@options.as_json
def migrate(*, tags: tuple[str, ...], as_json: bool, **flags: str | None) -> None:
    """Make or update the database schema, the streams and the consumers; harmless to repeat.

    On NATS it needs the role admin.
    """
    from workspaced.app.commands.session import run
    from workspaced.app.config import stream_limits
    from workspaced.app.render import print_json, say
    from workspaced.bus import jetstream, streams, tokens
    from workspaced.bus.connection import open_connection
    from workspaced.store import migrations

    for tag in tags:
        if not tokens.is_tag(tag):
            raise click.UsageError("--provisioner-tag takes lower-case letters, digits and hyphens")
    sources = Sources(flags, os.environ)
    limits, login, dsn = stream_limits(sources), sources.login("admin"), sources.database_url()
    queues = tags or ("local",)

    async def work() -> None:
        admin = await open_connection(login.url, **login.options())
        try:
            applied = await migrations.migrate(dsn)
            await jetstream.ensure(admin, queues, limits)
        finally:
            await admin.close()
        if as_json:
            print_json({"migrations": applied, "streams": list(streams.SUBJECTS), "provisioner_tags": queues})
            return
        say(f"database  {', '.join(applied) if applied else 'was up to date'}")
        say(f"streams   {', '.join(streams.SUBJECTS)}")
        say(f"queues    {', '.join(queues)}")

    run(work())
