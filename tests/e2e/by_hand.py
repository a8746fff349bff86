"""The console script against a test's stack."""

from tests.command_line import CommandLine
from tests.e2e.stack import Stack


def as_admin(stack: Stack) -> CommandLine:
    """Its commands as role admin."""
    who = stack.server.roles["admin"]
    return CommandLine(
        {
            "NATS_URL": stack.server.url,
            "DATABASE_URL": stack.dsn,
            "WORKSPACED_USER": who.user,
            "WORKSPACED_PASSWORD": who.password,
            "WORKSPACED_INBOX_PREFIX": who.inbox_prefix,
        }
    )
