"""Shows a chat's moves as they are pushed; on a terminal also where it stands, with the clock running."""

import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from workspaced.app.clock import utc_now
from workspaced.app.harmless import one_line
from workspaced.app.render import say, style_of
from workspaced.app.story import move_line, note, status_line
from workspaced.fsm.snapshot import Snapshot
from workspaced.fsm.state import State

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

REFRESHES_PER_S: Final = 4


class Progress:
    """Use it as a context; `saw` every snapshot in order."""

    def __init__(self, before: Snapshot | None, *, indent: str = "", live: bool = True) -> None:
        """`before` is where the story begins, None for a chat without a row; not `live`: no line that changes."""
        self._before = before
        self._indent = indent
        self._began = time.monotonic()
        self._may_be_live = live and sys.stdout.isatty()
        self._live: Live | None = None
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        if self._may_be_live:
            from rich.console import Console
            from rich.live import Live

            live = Live(
                console=Console(highlight=False),
                get_renderable=self._status,
                refresh_per_second=REFRESHES_PER_S,
                transient=True,
            )
            self._live = self._exits.enter_context(live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def saw(self, snapshot: Snapshot) -> None:
        """Tell the move to `snapshot`, if it is news."""
        before = self._before
        self._before = snapshot
        if before is not None and snapshot.version <= before.version:
            return
        state = before.state if before else State.IDLE
        # Announcements keep `entered_at`, so the span is that of the whole stay.
        took = snapshot.entered_at - before.entered_at if before else None
        since = timedelta(seconds=time.monotonic() - self._began)
        self._say(self._indent + move_line(state, snapshot, since, took), snapshot)

    def _say(self, line: str, snapshot: Snapshot) -> None:
        if self._live is None:
            say(line)
            return
        from rich.text import Text

        text = Text(one_line(line))
        text.highlight_words([f"-> {snapshot.state}"], style_of(snapshot.state))
        if tail := one_line(note(snapshot)):
            text.highlight_words([tail], "dim")
        self._live.console.print(text, soft_wrap=True)

    def _status(self) -> "Text":
        from rich.text import Text

        if self._before is None:
            return Text("")
        return Text(self._indent + status_line(self._before, utc_now()), style=style_of(self._before.state))
