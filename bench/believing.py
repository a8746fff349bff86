"""An engine that believes whatever it is told: the rival of the one that checks who says what.

Taken out: that ids in subjects are ids (which is what keeps one subject from standing for others), that build, number
and job of a report belong together, and that a command is of the sender's own organization. Two comparisons of texts
cannot be told from the rest and stay: an agent's build with the latest one, a provisioner's tag with the build's.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from workspaced.bus import subject_parser, subjects
from workspaced.fsm import apply, merge


@contextmanager
def believing() -> Iterator[None]:
    """This process does, while this is entered."""
    with ExitStack() as stack:
        for module, name, believes in (
            (subject_parser, "_checked", lambda _field, token, _subject: token),
            (subjects, "_id", lambda text, _field: text),
            (subjects, "_tag", lambda text: text),
            (subjects, "_word", lambda text, _known, _field: text),
            (merge, "_names", lambda _build, _report: True),
            (apply, "strangers_refusal", lambda _world, _command, _tenant: None),
        ):
            stack.enter_context(patch.object(module, name, believes))
        yield
