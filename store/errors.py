"""Errors of the store; they join the tree of `fsm/errors.py`.

WorkspacedError        500 internal
├── RefusedByStore     never on the wire: the batch is halved until one input is alone, and that goes to DEAD
└── SchemaRefused      never on the wire: one line at start, exit code not 0
"""

from workspaced.fsm.errors import WorkspacedError


class RefusedByStore(WorkspacedError):
    """the store refused a value, such as a text with a NUL or a row that breaks an invariant"""  # noqa: D400 - the message, as in fsm/errors.py


class SchemaRefused(WorkspacedError):
    """the database's schema is not the one this version of workspaced works with; run `workspaced migrate`"""  # noqa: D400 - as above
