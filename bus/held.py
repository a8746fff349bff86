"""What a chat daemon holds of a chat in use: the newest snapshot and at most one connection (domain.md 8.1)."""

from collections.abc import Callable
from typing import Generic, TypeVar

from workspaced.bus.binding import Binding, binding_of, workspace_of
from workspaced.bus.lent import Borrowed, Shared
from workspaced.fsm.snapshot import Snapshot

C = TypeVar("C")


class Held(Generic[C]):
    """Follows one chat. It never holds a connection to another agent than the held one."""

    def __init__(self, on_rebound: Callable[[Snapshot], None], on_end: Callable[[], None]) -> None:
        """`on_rebound` hears of another agent than the last one, `on_end` that no push will come any more."""
        self.snapshot: Snapshot | None = None
        self.binding: Binding | None = None
        """That of the snapshot."""
        self._on_rebound, self._on_end = on_rebound, on_end
        self._version = 0
        self._last_agent: str | None = None
        self._kept: Shared[C] | None = None

    # --- the snapshot -------------------------------------------------------------------------------------------------

    def offer(self, snapshot: Snapshot) -> None:
        """A push: taken if it is newer."""
        if snapshot.version > self._version:
            self._take(snapshot)

    def end(self, _: Exception) -> None:
        """The connection to NATS is closed for good."""
        self.drop()
        self._on_end()

    def replace(self, snapshot: Snapshot) -> None:
        """The answer to `get`: taken unless it is older; at the same version its link is that of now."""
        if snapshot.version >= self._version:
            self._take(snapshot)

    def forget(self) -> None:
        """Neither connection nor snapshot is to be trusted."""
        self.drop()
        self.snapshot = self.binding = None

    @property
    def workspace_id(self) -> str | None:
        """The live workspace."""
        return workspace_of(self.snapshot)

    def _take(self, snapshot: Snapshot) -> None:
        self._version, self.snapshot, self.binding = snapshot.version, snapshot, binding_of(snapshot)
        if self._kept is not None and self._kept.binding != self.binding:
            self.drop()
        if snapshot.agent_id is None or snapshot.agent_id == self._last_agent:
            return
        first, self._last_agent = self._last_agent is None, snapshot.agent_id
        if not first:
            self._on_rebound(snapshot)

    # --- the connection -----------------------------------------------------------------------------------------------

    def lend(self, *, requests: int = 0) -> Borrowed[C] | None:
        """The kept connection once more; one whose agent is known to be away is dropped."""
        if self._kept is None:
            return None
        agent = self.snapshot.agent if self.snapshot else None
        if agent is not None and agent.link == "disconnected":
            self.drop()
            return None
        return self._kept.lend(requests=requests)

    def keep(self, shared: Shared[C], *, switched: bool, requests: int) -> Borrowed[C]:
        """Keep `shared` and lend it, unless another call was first: then theirs is lent and ours is dropped."""
        if self._kept is not None:
            shared.drop()
            return self._kept.lend(switched=switched, requests=requests)
        self._kept = shared
        return shared.lend(switched=switched, requests=requests)

    def drop(self) -> None:
        """Keep no connection."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            kept.drop()
