"""Where a chat may stand, on the real servers: the situations of `tests/situations.py`, said over the bus.

A situation is written once, as what a chat daemon, a provisioner and an agent say to a `Stage`. Here its words are
noted and then said to a `Scene`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from tests.e2e.scene import Scene
from tests.e2e.stack import Stack
from tests.situations import SITUATIONS
from tests.stage import Stage as PureStage
from workspaced.fsm.commands import COMMANDS, Owner
from workspaced.fsm.events import AgentReport

LONG_AGO = timedelta(hours=1)
"""How old reports are in a situation in which somebody waited: an agent of then is overdue, one lost then is gone."""

ENDED_SHORT = (
    "failed_untaken",
    "build_failed",
    "quota",
    "canceled_untaken",
    "canceled",
    "no_agent",
    "selection_error",
    "agents_unknown",
    "never_connected",
    "link_timeout",
    "agent_disconnected",
    "startup_failed",
    "startup_timeout",
)
"""Where the start build is over and the chat has failed."""
TO_BE_STOPPED = (
    "binding",
    "connecting",
    "reconnecting",
    "starting",
    "ready",
    "stop_failed",
    "stop_canceled",
    "delete_failed",
    *ENDED_SHORT,
    "long_disconnected",
    "ended_by_limit_then_built",
)
"""Where a workspace is, or something is left of it, and nothing is in flight."""


class Script:
    """Notes what is said to a stage."""

    def __init__(self) -> None:
        self.words: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._chats: dict[str, str] = {}
        self._chat_id = str(uuid4())

    @property
    def chat_id(self) -> str:
        """The chat that commands are about."""
        return self._chat_id

    @chat_id.setter
    def chat_id(self, name: str) -> None:
        """Ids of the stage's chats are the same in all situations; here each gets one of its own."""
        self._chat_id = self._chats.setdefault(name, str(uuid4()))

    def an_agent_report(self, name: str = "main", **fields: Any) -> AgentReport:  # noqa: ANN401  # any field
        """A fresh agent."""
        return AgentReport(id=str(uuid4()), name=name, **fields)

    def __getattr__(self, word: str) -> Callable[..., None]:
        def note(*arguments: object, **fields: object) -> None:
            chat = {"chat_id": self._chat_id} if word in COMMANDS else {}
            self.words.append((word, arguments, chat | fields))

        return note


async def a_chat_in(stack: Stack, situation: str, *, long_ago: bool = False, owner: Owner | None = None) -> Scene:
    """A scene whose chat stands there, perhaps for long; the stack has an `unhurried_engine`."""
    script = Script()
    SITUATIONS[situation](cast("PureStage", script))
    waited = long_ago or any(word == "wait" for word, _, _ in script.words)
    scene = Scene(stack, LONG_AGO if waited else timedelta(0), owner)
    for word, arguments, fields in script.words:
        if word in COMMANDS:
            scene.chat_id = fields["chat_id"]
            await scene.ask(word, **fields)
        elif word != "wait":
            await getattr(scene, word)(*arguments, **fields)
    return scene
