"""Errors of the store; they join the tree of `fsm/errors.py`.

WorkspacedError        500 internal
├── StoreAway          503 unavailable, an Unavailable; .cause is for operators alone
├── RefusedByStore     never on the wire: the batch is halved until one input is alone, and that goes to DEAD
└── SchemaRefused      never on the wire: one line at start, exit code not 0
"""

from typing import Final, Literal

from workspaced.fsm.errors import Unavailable, WorkspacedError

Cause = Literal[
    "unreachable",
    "slow",
    "out_of_connections",
    "read_only",
    "disk_full",
    "out_of_resources",
    "login",
    "certificate",
    "schema",
    "newer_machine",
]
"""Why Postgres is of no use; stable, for it is a label of a metric."""

CAUSES: Final[dict[Cause, str]] = {
    "unreachable": "it cannot be reached",
    "slow": "it does not answer in time",
    "out_of_connections": "it has no connection left for us",
    "read_only": "it takes no writes",
    "disk_full": "its disk is full",
    "out_of_resources": "it is out of memory or of locks",
    "login": "it refuses our login or has no such database",
    "certificate": "its TLS certificate is refused",
    "schema": "a table or a right is missing",
    "newer_machine": "it holds chats that a newer release moved; end this engine and use that release",
}


class StoreAway(Unavailable):
    """the store is away; try again with the same request_id"""  # noqa: D400 - the message; the cause is for operators

    def __init__(self, cause: Cause = "unreachable") -> None:
        """`cause` is for the log, `/readyz` and `/metrics`."""
        super().__init__()
        self.cause: Cause = cause


class RefusedByStore(WorkspacedError):
    """the store refused a value, such as a text with a NUL or a row that breaks an invariant"""  # noqa: D400 - the message, as in fsm/errors.py


class SchemaRefused(WorkspacedError):
    """the database's schema is not the one this version of workspaced works with; run `workspaced migrate`"""  # noqa: D400 - as above
