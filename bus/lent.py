"""A connection that is lent to steps: closed once, when it was dropped and its last borrower gave it back."""

from collections.abc import Callable
from typing import Generic, Self, TypeVar

from workspaced.bus.binding import Binding

C = TypeVar("C")


class Shared(Generic[C]):
    """A connection to the agent of `binding`. `release` is called once; it must not raise."""

    __slots__ = ("_borrowers", "_closed", "_dropped", "_release", "binding", "connection")

    def __init__(self, connection: C, binding: Binding, release: Callable[[], None]) -> None:
        self.connection, self.binding = connection, binding
        self._release = release
        self._borrowers = 0
        self._dropped = False
        self._closed = False

    def lend(self, *, switched: bool = False, requests: int = 0) -> "Borrowed[C]":
        """The connection for one more borrower."""
        self._borrowers += 1
        return Borrowed(self, switched=switched, requests=requests)

    def drop(self) -> None:
        """Lend it no more."""
        self._dropped = True
        self._close_if_free()

    def give_back(self) -> None:
        """One borrower less."""
        self._borrowers -= 1
        self._close_if_free()

    def _close_if_free(self) -> None:
        if self._dropped and not self._borrowers and not self._closed:
            self._closed = True
            self._release()


class Borrowed(Generic[C]):
    """A connection on loan, for `with`: leaving the context gives it back, as `give_back` does."""

    __slots__ = ("_given_back", "_shared", "binding", "connection", "requests", "switched")

    def __init__(self, shared: Shared[C], *, switched: bool, requests: int) -> None:
        self._shared = shared
        self._given_back = False
        self.connection = shared.connection
        self.binding = shared.binding
        self.switched = switched
        """The agent held before was not the right one any more."""
        self.requests = requests
        """How often the engine was asked for this loan; 0 in the steady state."""

    def give_back(self) -> None:
        """End the loan; doing it twice is harmless."""
        if not self._given_back:
            self._given_back = True
            self._shared.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
