"""The command line: finds a command, runs it, and turns what goes wrong into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from workspaced.app.main import INTERRUPTED

try:
    import click
except ModuleNotFoundError:  # a light install, as chat daemons have it
    sys.exit("error: the command line needs more: pip install 'workspaced[embedded]' (not_installed)")

COMMANDS: Final = {
    "up": ("stack", "Start everything on this machine: both servers, an engine, a provisioner."),
    "demo": ("demo", "Show one chat from nothing to ready and back, both servers included."),
    "create": ("create", "Give a chat a workspace, or tell which one it has."),
    "start": ("verbs", "Start a chat's workspace."),
    "stop": ("verbs", "Stop a chat's workspace and keep it."),
    "restart": ("verbs", "Stop a chat's workspace, then start it."),
    "delete": ("verbs", "Delete a chat's workspace."),
    "cancel": ("verbs", "Give up what is on its way."),
    "attach": ("create", "Bind a chat to a workspace that exists, or to another chat's."),
    "ps": ("look", "List chats and where they stand."),
    "show": ("look", "Show one chat."),
    "history": ("look", "Show how a chat got where it stands."),
    "watch": ("watch", "Watch a chat, or all of them, as it moves."),
    "dial": ("dial", "Reach a chat's agent, and say how long it took."),
    "logs": ("logs", "Show a build's log."),
    "templates": ("templates", "Put, get, list and delete templates."),
    "settings": ("settings", "Get and put the settings that change at run time."),
    "dead": ("dead", "List, show, send again and drop messages that nobody could use."),
    "audit": ("audit", "Check what must always hold: nothing lost, nothing doubled, nothing left behind."),
    "prune": ("prune", "Forget history older than a time."),
    "catch-up": ("catch_up", "After a restore of Postgres, say again what it does not know."),
    "mcp": ("mcp", "Serve the workspace tools to language models, by the Model Context Protocol."),
    "serve": ("serve", "Run an engine."),
    "callout": ("callout", "Let agents in."),
    "provisioner": ("provisioner", "Run a local provisioner."),
    "agent": ("agent", "Run the agent of a workspace."),
    "migrate": ("migrate", "Make or update the database schema, the streams and the consumers."),
    "doctor": ("doctor", "Check everything workspaced needs, and say what to do."),
    "diagram": ("diagram", "Print the state machine."),
    "conformance": ("conformance", "Check a provisioner or an agent of yours against the contract."),
    "schema": ("schema", "Print the wire's contract, or check that it breaks nobody."),
    "version": ("version", "Print the version."),
}
"""Module in `workspaced.app.commands` and what `--help` says, so that help imports no command."""

FAILED: Final = 1
USAGE: Final = 2
STATUS_CODES: Final = {400: 3, 403: 3, 404: 4, 409: 5, 503: 6}
"""Exit codes of errors by their status; any other is `FAILED`. `docs/cli.md` has the table."""


class Commands(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """In the order of the table: what a newcomer needs comes first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        """The command; None for a name that is none."""
        if cmd_name not in COMMANDS:
            return None
        module, text = COMMANDS[cmd_name]
        command: click.Command = getattr(
            importlib.import_module(f"workspaced.app.commands.{module}"), cmd_name.replace("-", "_")
        )
        command.short_help = text
        command.help = command.help or text
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """The table as it stands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="workspaced", message="%(prog)s %(version)s")
def cli() -> None:
    """Give every chat a workspace.

    Begin with `workspaced up`, then `workspaced create` in another terminal.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. What goes wrong becomes one line on stderr, never a traceback."""
    try:
        code = cli.main(
            list(arguments) if arguments is not None else None, prog_name="workspaced", standalone_mode=False
        )
    except click.ClickException as error:
        hint = f"; see `{error.ctx.command_path} --help`" if isinstance(error, click.UsageError) and error.ctx else ""
        return _say(error.format_message().rstrip(".") + hint, "usage", USAGE)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  # the border: outside nobody sees a traceback
        return explain(error)
    return code if isinstance(code, int) else 0


def explain(error: Exception) -> int:
    """Say in one line what went wrong; the exit code that tells it."""
    from workspaced.app.given import BadSetting
    from workspaced.fsm.errors import WorkspacedError

    if os.environ.get("WORKSPACED_LOG_LEVEL") == "debug":
        import traceback

        traceback.print_exception(error)
    if not isinstance(error, WorkspacedError):
        text = f"workspaced has a fault of its own, {type(error).__name__}; WORKSPACED_LOG_LEVEL=debug shows where"
        return _say(text, "internal", FAILED)
    faults = "; ".join(f"{one.field}: {one.detail}" if one.field else one.detail for one in error.validations)
    text = str(error)
    if faults:
        text = faults if text in faults else f"{text}: {faults}"
    return _say(text, error.code, USAGE if isinstance(error, BadSetting) else STATUS_CODES.get(error.status, FAILED))


def _say(text: str, code: str, exit_code: int) -> int:
    from workspaced.app.harmless import one_line

    print(f"error: {one_line(' '.join(text.split()))} ({code})", file=sys.stderr)
    return exit_code
