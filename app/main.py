"""The program's first lines: they load nothing, so that Ctrl-C is quiet also while the command line is loaded."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run a command and exit."""
    try:
        from workspaced.app.cli import run

        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)
