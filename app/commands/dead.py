"""`workspaced dead`: messages that nobody could use."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources

if TYPE_CHECKING:
    from nats.aio.client import Client

    from workspaced.app.redrive import Done
    from workspaced.bus.messages import DeadEntry

sequences = click.argument("sequences", metavar="SEQ...", type=click.IntRange(min=1), nargs=-1, required=True)
yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.group()
def dead() -> None:
    """List, show, send again and drop messages that nobody could use."""


@dead.command("list")
@options.where
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="SEQ", help="Only those after this one.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@options.as_json
def list_dead(*, after: int, limit: int, as_json: bool, **flags: str | None) -> None:
    """List them with the reason, oldest first."""
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.render import print_json, say
    from workspaced.app.tables import print_table

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources, "inspector") as client:
            page = await client.dead(after=after, limit=limit)
        if as_json:
            print_json(page)
            return
        rows = [
            (each.seq, f"{each.at:%Y-%m-%d %H:%M:%S}", each.reason, each.detail, each.subject, each.body)
            for each in page.messages
        ]
        print_table(("SEQ", "AT", "REASON", "DETAIL", "SUBJECT", "BODY"), rows, "nothing was put aside")
        if page.has_more:
            say(f"there are more: --after {page.messages[-1].seq}")

    run(work())


@dead.command("show")
@options.where
@options.as_json
@click.argument("sequence", metavar="SEQ", type=click.IntRange(min=1))
def show_dead(*, sequence: int, as_json: bool, **flags: str | None) -> None:
    """Show one with its whole body, and whether it may be sent again."""
    from workspaced.app.commands.session import open_client, run
    from workspaced.app.render import print_json
    from workspaced.fsm.errors import NotFound

    sources = Sources(flags, os.environ)

    async def work() -> None:
        async with open_client(sources, "inspector") as client:
            page = await client.dead(after=sequence - 1, limit=1)
        letter = next((each for each in page.messages if each.seq == sequence), None)
        if letter is None:
            raise NotFound(f"there is no dead letter {sequence}; see `workspaced dead list`", code="dead_not_found")
        if as_json:
            print_json(letter)
        else:
            _print(letter)

    run(work())


@dead.command("redrive")
@options.where
@yes
@options.as_json
@sequences
def redrive_dead(*, sequences: tuple[int, ...], yes: bool, as_json: bool, **flags: str | None) -> int:
    """Send them again and take them off the list.

    They go to where they came from. It needs the role admin. What the NATS server itself said (ws.sys.*) is never sent
    again: nobody else may say it. Exit code 1 when one was not sent.
    """
    from workspaced.app.redrive import redrive

    return _each(sequences, redrive, f"Send {_count(sequences)} again?", flags, yes=yes, as_json=as_json)


@dead.command("drop")
@options.where
@yes
@options.as_json
@sequences
def drop_dead(*, sequences: tuple[int, ...], yes: bool, as_json: bool, **flags: str | None) -> int:
    """Take them off the list for good.

    It needs the role admin. Exit code 1 when one was not there.
    """
    from workspaced.app.redrive import drop

    return _each(sequences, drop, f"Drop {_count(sequences)} for good?", flags, yes=yes, as_json=as_json)


def _each(
    sequences: tuple[int, ...],
    act: "Callable[[Client, int], Awaitable[Done]]",
    question: str,
    flags: dict[str, str | None],
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """One after the other, each told as soon as it is done: what was done stays done when the next one fails."""
    from workspaced.app.commands.session import run
    from workspaced.app.render import print_json, say
    from workspaced.bus.connection import open_connection

    login = Sources(flags, os.environ).login("admin")
    if not yes:
        click.confirm(question, abort=True, err=True)

    async def work() -> "list[Done]":
        done = []
        admin = await open_connection(login.url, **login.options())
        try:
            for sequence in dict.fromkeys(sequences):
                done.append(await act(admin, sequence))
                if not as_json:
                    say("  ".join(filter(None, (str(sequence), done[-1].outcome, done[-1].subject, done[-1].detail))))
        finally:
            await admin.close()
        return done

    done = run(work())
    if as_json:
        print_json({"messages": done})
    return 0 if all(one.outcome in {"redriven", "dropped"} for one in done) else 1


def _count(sequences: tuple[int, ...]) -> str:
    count = len(set(sequences))
    return f"message {sequences[0]}" if count == 1 else f"{count} messages"


def _print(letter: "DeadEntry") -> None:
    from workspaced.app.redrive import refusal
    from workspaced.app.render import print_fields, say, say_all

    print_fields(
        [
            ("seq", letter.seq),
            ("at", f"{letter.at:%Y-%m-%d %H:%M:%S}"),
            ("subject", letter.subject),
            ("reason", letter.reason),
            ("detail", letter.detail),
            ("redrive", refusal(letter.subject) or f"`workspaced dead redrive {letter.seq}` once the cause is mended"),
        ]
    )
    say()
    say_all(letter.body)
