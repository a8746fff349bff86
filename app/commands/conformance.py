"""`workspaced conformance`: whether a provisioner, an agent is as the contract says."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workspaced.app.commands import options
from workspaced.app.sources import Sources

if TYPE_CHECKING:
    from workspaced.app.conformance.program import Program
    from workspaced.app.conformance.server import Place
    from workspaced.app.conformance.suite import Result

F = TypeVar("F", bound=Callable[..., object])
_COLOURS = {"pass": "green", "fail": "red", "skip": "yellow"}

_OPTIONS = (
    click.option("--only", multiple=True, metavar="NAME", help="Only this check; repeatable."),
    click.option("--patience", default=10.0, show_default=True, help="Seconds that the program has for each step."),
    click.option(
        "--log", type=click.Path(path_type=Path, dir_okay=False), help="Write the program's output into a file."
    ),
    click.option("--list", "listed", is_flag=True, help="List the checks and run none."),
    options.as_json,
    click.argument("command", nargs=-1, type=click.UNPROCESSED),
)


def _shared(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group()
def conformance() -> None:
    """Check a program of yours against the contract: it is started, watched, killed and started again.

    What comes after `--` starts the program; it finds NATS_URL, WORKSPACED_USER, WORKSPACED_PASSWORD and
    WORKSPACED_INBOX_PREFIX in its environment. Each duty is a line. Exit code 1 when one is not done.
    """


@conformance.command()
@click.option("--tag", default="conformance", show_default=True, help="Of the job queue; PROVISIONER_TAG for it.")
@click.option("--source", default="{}", show_default=True, help="A template's source whose build succeeds: JSON.")
@click.option("--failing-source", help="One whose build fails.")
@click.option("--slow-source", help="One whose build takes a minute at least.")
@click.option("--lease", default=3.0, show_default=True, help="Seconds that a job is the program's.")
@click.option("--nats-url", "--nats", metavar="URL", help="A NATS server that nothing else uses.  [one of its own]")
@options.settings(options.only("user"))
@_shared
def provisioner(
    *,
    tag: str,
    lease: float,
    patience: float,
    log: Path | None,
    command: Sequence[str],
    **given: Any,  # noqa: ANN401  # click's
) -> int:
    """Check a provisioner.

    On a server of yours the checks need an administrator's login: WORKSPACED_USER, WORKSPACED_PASSWORD and so on. The
    program gets that of PROVISIONER_USER and PROVISIONER_PASSWORD, else the same. Without a command you start it
    yourself when you are told to, and what needs killing is skipped. Streams that the checks made are gone afterwards.
    """
    from workspaced.app.conformance.jobs import JobGround
    from workspaced.app.conformance.jobs import Sources as Given
    from workspaced.app.conformance.program import Program
    from workspaced.app.conformance.provisioner import CHECKS
    from workspaced.app.conformance.suite import results
    from workspaced.app.conformance.wire import Failed, Wire

    if not (command or given["listed"] or given["nats_url"]):
        raise click.UsageError("name the program, or the NATS server where you run it (--nats-url)")
    sources = Given(*(_json(name, given.pop(name)) for name in ("source", "failing_source", "slow_source")))

    async def run(place: "Place") -> "AsyncIterator[Result]":
        environ = dict(os.environ) | place.environ("provisioner") | {"PROVISIONER_TAG": tag}
        environ |= {"CONFORMANCE_FOLDER": str(place.folder)}
        program, wire = Program(command, environ, log), Wire(place.admin, patience)
        await wire.open()
        ground = JobGround(wire, program, tag, sources, door=place.door, lease_s=lease)
        try:
            if command:
                _start(program)
            else:
                click.echo(f"the queue of tag {tag} is there: start your program now", err=True)
            async for result in results(CHECKS, ground, program.fault, given["only"]):
                yield result
            with suppress(Failed):
                await ground.clean_up()
        finally:
            wire.close()
            program.close()

    return _run(CHECKS, run, tag=tag, lease=timedelta(seconds=lease), **given)


@conformance.command()
@_shared
def agent(*, patience: float, log: Path | None, command: Sequence[str], **given: Any) -> int:  # noqa: ANN401  # click's
    """Check an agent, on a NATS server of our own.

    It finds its configuration in the file that WORKSPACED_AGENT_CONFIG names (docs/provisioners.md), and the same in
    AGENT_ID, AGENT_BUILD_ID, AGENT_WORKSPACE_ID, AGENT_STARTUP_SCRIPT and AGENT_STARTUP_SCRIPT_TIMEOUT.
    """
    from workspaced.app.conformance.agent import CHECKS
    from workspaced.app.conformance.agents import AgentGround
    from workspaced.app.conformance.suite import results
    from workspaced.app.conformance.wire import Wire

    if not (command or given["listed"]):
        raise click.UsageError("name the program: what comes after `--` starts it")

    async def run(place: "Place") -> "AsyncIterator[Result]":
        wire = Wire(place.admin, patience)
        await wire.open()
        ground = AgentGround(wire, place, command, log)
        try:
            async for result in results(CHECKS, ground, ground.fault, given["only"]):
                yield result
                ground.end()
        finally:
            ground.end()
            wire.close()

    return _run(CHECKS, run, tag="conformance", lease=timedelta(seconds=30), **given)


def _run(
    checks: Sequence[Any],
    run: "Callable[[Place], AsyncIterator[Result]]",
    *,
    only: Sequence[str],
    listed: bool,
    as_json: bool,
    tag: str,
    lease: timedelta,
    **flags: str | None,
) -> int:
    from workspaced.app.commands.session import run as run_async
    from workspaced.app.render import print_json

    known = [check.name for check in checks]
    if odd := [name for name in only if name not in known]:
        raise click.UsageError(f"no check is called {odd[0]!r}; they are: {', '.join(known)}")
    if listed:
        for check in checks:
            click.echo(f"{check.name:<24}  {check.duty}")
        return 0

    async def work() -> "list[Result]":
        found = []
        async with _place(flags, tag, lease) as place:
            async for result in run(place):
                found.append(result)
                if not as_json:
                    _print(result)
        return found

    found = run_async(work())
    failed = [result for result in found if result.verdict == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": found})
    else:
        passed = sum(result.verdict == "pass" for result in found)
        click.echo(f"{passed} passed, {len(failed)} failed, {len(found) - passed - len(failed)} skipped")
    return 1 if failed else 0


def _start(program: "Program") -> None:
    from workspaced.app.conformance.wire import Failed

    try:
        program.start()
    except Failed as error:
        raise click.ClickException(str(error)) from None


def _place(flags: dict[str, str | None], tag: str, lease: timedelta) -> "AbstractAsyncContextManager[Place]":
    from workspaced.app.conformance.server import given_server, own_server
    from workspaced.provisioners.agent.config import NatsLogin

    if flags.get("nats_url") is None:
        return own_server(tag, lease)
    admin = theirs = Sources(flags, os.environ).login("admin")
    if user := os.environ.get("PROVISIONER_USER"):
        theirs = NatsLogin(admin.url, user, os.environ.get("PROVISIONER_PASSWORD"), f"_INBOX_{user}", tls=admin.tls)
    return given_server({"admin": admin, "provisioner": theirs}, tag, lease)


def _print(result: "Result") -> None:
    from workspaced.app.harmless import one_line

    word = click.style(result.verdict, fg=_COLOURS[result.verdict])
    click.echo(f"{word}  {result.name:<24}  {result.duty}")
    if result.reason:
        click.echo(f"      {'':<24}  {one_line(result.reason)}")
    sys.stdout.flush()


def _json(name: str, text: str | None) -> object:
    import msgspec

    try:
        return None if text is None else msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--{name.replace('_', '-')} takes JSON: {error}") from None
