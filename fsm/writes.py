"""The rows a batch is to write: what the inputs changed, each row once, as it is at the end."""

from collections.abc import Iterable

from workspaced.fsm.chat import Chat
from workspaced.fsm.facts import Agent, Build, Workspace
from workspaced.fsm.rows import Changes, ChatWrite, Departure, InputRow, StaleRow, TransitionRow


class Writes:
    """Rows by id, and rows that are only ever added."""

    def __init__(self, chats: Iterable[Chat]) -> None:
        """`chats` are those that were loaded: their versions must still be there when they are written."""
        self.workspaces: dict[str, Workspace] = {}
        self.builds: dict[str, Build] = {}
        self.agents: dict[str, Agent] = {}
        self.chats: dict[str, Chat] = {}
        self.inputs: list[InputRow] = []
        self.stale: list[StaleRow] = []
        self.departures: list[Departure] = []
        self._loaded = {chat.id: chat.version for chat in chats}

    def changes(self, transitions: list[TransitionRow]) -> Changes:
        """All of it, in the order in which the store must write it."""
        return Changes(
            workspaces=list(self.workspaces.values()),
            builds=sorted(self.builds.values(), key=lambda build: (build.workspace_id, build.build_number)),
            agents=list(self.agents.values()),
            chats=[ChatWrite(self.chats[key], self._loaded.get(key, 0)) for key in sorted(self.chats)],
            transitions=transitions,
            inputs=self.inputs,
            stale=self.stale,
            departures=self.departures,
        )
