"""The store's port: what the engine asks of it. `PostgresStore` and `MemoryStore` pass the same contract tests."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from workspaced.fsm.chat import Chat
from workspaced.fsm.effects import SetTimer
from workspaced.fsm.facts import Agent, Build, Facts
from workspaced.fsm.rows import Changes, Loaded, Needs, Queued, StaleRow, TransitionRow, Turns
from workspaced.fsm.state import State
from workspaced.fsm.template import Template

ChatPage = tuple[list[tuple[Chat, Facts | None]], str | None]
"""Chats by id with the facts of their workspaces, and the id to go on after; None at the end."""

WorkspacePage = tuple[list[tuple[Facts, tuple[str, ...]]], str | None]
"""Live workspaces by id with the ids of the chats bound to them, and the id to go on after; None at the end."""

SAMPLES = 200
"""So many passes of a state are looked at for what is typical (domain.md section 1)."""


class Batch(Protocol):
    """A transaction whose locks are held and whose rows are loaded."""

    loaded: Loaded

    async def taken_names(self, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the (owner id, lower-case name) pairs that a live workspace has and has not given up."""

    async def write(self, changes: Changes) -> None:
        """Write all rows, each list in its order; an id occurs once in a list.

        Raises VersionConflict when a chat has not its expected version or a unique key is taken (decide again),
        RefusedByStore when a value or row is not acceptable, such as a NUL in a text (`detail` says what).
        After either the transaction is rolled back, also when the caller catches it.
        """


class Store(Protocol):
    """Everything kept. Any method may raise Unavailable, and RefusedByStore for ids that are none."""

    async def open(self) -> None:
        """Get ready; Unavailable says why not."""

    async def close(self) -> None:
        """Let what is running end, then let go."""

    async def ping(self) -> None:
        """Raise Unavailable, with a cause, when the store does not answer or takes no writes."""

    async def renew(self) -> None:
        """Let go of the connections there are: the next ones are made anew."""

    def batch(self, needs: Needs) -> AbstractAsyncContextManager[Batch]:
        """One transaction over the rows that `needs` names: locked, then loaded; commit on a clean exit.

        With `needs.turns` the queue is locked first; workspaces found in it, and those that the inputs moved when they
        were applied before, belong to what is named.
        Workspaces are locked in id order, then chats in id order, then templates (shared). Raises VersionConflict on
        entry when a row came to a locked workspace while the locks were waited for.
        """

    async def read(self, needs: Needs) -> Loaded:
        """What a batch would load, from one snapshot and without locks."""

    async def chats(
        self,
        *,
        state: State | None = None,
        owner_id: str | None = None,
        template_id: str | None = None,
        organization_id: str | None = None,
        unbound: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> ChatPage:
        """A page of chats; `unbound` ones have no live workspace."""

    async def workspaces(
        self,
        *,
        owner_id: str | None = None,
        template_id: str | None = None,
        organization_id: str | None = None,
        unbound: bool = False,
        limit: int = 50,
        after: str | None = None,
    ) -> WorkspacePage:
        """A page of live workspaces; no chat is bound to `unbound` ones."""

    async def organization_of(self, build_id: str) -> str | None:
        """Whose workspace a build is of; None when it is not known."""

    async def history(
        self, chat_id: str, after_version: int = 0, limit: int = 100
    ) -> tuple[list[TransitionRow], int | None]:
        """Transitions by version, and the version to go on after; snapshot and effects are left out."""

    async def stale_of(self, chat_id: str, limit: int = 100) -> list[StaleRow]:
        """The latest stale reports about the chat's workspace, oldest first."""

    async def put_template(self, template: Template, version_id: str) -> Template:
        """Make or replace the template of that id and return it as stored, alive.

        Its parameters, presets and source become version `version_id` unless they are those of the active version
        (compared as JSON values). Raises Conflict `name_taken` when another one of the organization has the name.
        """

    async def template(self, template_id: str) -> Template | None:
        """The template with its active version, deleted or not; None when unknown."""

    async def templates(
        self,
        *,
        organization_id: str | None = None,
        query: str = "",
        page: int = 1,
        page_size: int = 10,
        include_hidden: bool = False,
    ) -> tuple[list[tuple[Template, int]], int]:
        """A page of templates with their active developers, most of them first, then by name; and the total count.

        `query` is looked for in name, display name, description and abstract, in any case. Hidden ones are deprecated
        or not for agents; deleted ones are never listed. A page below 1 is the first.
        """

    async def delete_template(self, template_id: str) -> None:
        """Mark it deleted. Raises NotFound, and Conflict `template_in_use` while live workspaces are made from it."""

    async def settings(self) -> dict[str, str]:
        """The stored settings as texts; those never put are absent."""

    async def put_settings(self, texts: dict[str, str]) -> None:
        """Merge, all or nothing."""

    def timers(self, only_overdue_at: datetime | None = None) -> AsyncGenerator[SetTimer, None]:
        """Deadlines of waiting chats and TTLs of live workspaces, soonest first; all, or those due by a time.

        The iterator holds a connection: use it up or `aclose` it. Limits of jobs are `unfinished_builds`' business.
        """

    def unfinished_builds(
        self, *, requested_by: datetime | None = None, started_by: datetime | None = None
    ) -> AsyncGenerator[Build, None]:
        """Builds whose job is pending, running or canceling, without those in the queue; as `timers` in all else.

        With the times only those that nobody has taken and that were requested by the one, and those that were taken
        by the other.
        """

    async def queue(self, turns: Turns) -> list[Queued]:
        """What a batch with these turns would load of the queue, without its lock."""

    async def queue_length(self) -> int:
        """How many builds wait in the queue."""

    def connected_agents(self) -> AsyncGenerator[Agent, None]:
        """Agents of latest builds whose link is connected; holds a connection as `timers` does."""

    async def typical_samples(self) -> list[tuple[str, State, list[int]]]:
        """For each (template id, state) left lately: how long it lasted, in ms, newest first, at most `SAMPLES`.

        Passes that ended in `failed` don't count.
        """

    async def marks(self) -> dict[str, str]:
        """What the engine noted about its surroundings."""

    async def put_mark(self, name: str, text: str) -> None:
        """Note `text` under `name`."""

    async def prune(self, before: datetime) -> int:
        """Forget transitions (but each chat's last), inputs, stale reports and departures older than `before`.

        Returns how many rows went. A request or message that old counts as new should it come again. The latest
        `before` of all is noted as the mark `pruned_before`, in ISO 8601.
        """
