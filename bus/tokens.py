"""What a token of a subject may be: an id, a provisioner's tag, or one of some words."""

import re
from typing import Final, get_args

from workspaced.fsm.commands import COMMANDS
from workspaced.fsm.state import State
from workspaced.fsm.values import UUID_PATTERN, JobStatus

JOB_STATUSES: Final[frozenset[str]] = frozenset(get_args(JobStatus))
AGENT_KINDS: Final = frozenset({"connected", "disconnected", "lifecycle"})
TIMER_KINDS: Final = frozenset({"chat", "ttl", "job", "link", "queue"})
STATES: Final = frozenset(State)
API_VERBS: Final = (
    *COMMANDS,
    "get",
    "list",
    "history",
    "logs",
    "dead",
    "templates.put",
    "templates.get",
    "templates.list",
    "templates.delete",
    "settings.get",
    "settings.put",
)

_UUID = re.compile(UUID_PATTERN, re.ASCII)
_TAG = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in canonical lower case."""
    return _UUID.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` may name a provisioner."""
    return _TAG.fullmatch(text) is not None
