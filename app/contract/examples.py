"""One golden message for every kind on the wire: subject, headers and body, as any client may send or get them."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from workspaced.app.contract.channels import CHANNELS
from workspaced.fsm.errors import ErrorBody


@cache
def examples() -> dict[str, dict[str, Any]]:
    """By the message's name in the AsyncAPI document, or `name:variant`: `subject?`, `headers?`, `body`."""
    found: dict[str, dict[str, Any]] = json.loads((files("workspaced.app.contract") / "examples.json").read_bytes())
    return found


def body_types() -> dict[str, object]:
    """What each message's body is, by the message's name; None for any bytes."""
    kinds: dict[str, object] = {"error": ErrorBody}
    for channel in CHANNELS:
        if channel.same_as is not None:
            continue
        name = channel.name.replace(".", "-")
        kinds[name] = channel.body
        if channel.reply is not None:
            kinds[f"{name}-reply"] = channel.reply
    return kinds
