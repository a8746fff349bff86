"""Patterns of templates, in the syntax of RE2: a text takes as long as it and the pattern are large, and no longer.

The values come from a model. With Python's own `re` a harmless looking pattern and forty characters that almost fit it
would keep an engine busy for hours, and after it every other one that gets the message.
"""

from typing import Any, Final

import re2  # type: ignore[import-untyped]  # it brings no types

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False  # on stderr, past the log


def pattern_fault(pattern: str) -> str | None:
    """Why `pattern` is none; None when it is one."""
    try:
        _compiled(pattern)
    except re2.error as error:
        return _text(error)
    return None


def found(pattern: str, text: str) -> bool:
    """Whether a part of `text` is as `pattern` says; nothing is as one that is none."""
    try:
        return _compiled(pattern).search(text) is not None
    except re2.error:
        return False


def _compiled(pattern: str) -> Any:  # noqa: ANN401  # untyped
    return re2.compile(pattern, _OPTIONS)  # the library keeps 128 of them, each of 8 MiB at most


def _text(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
