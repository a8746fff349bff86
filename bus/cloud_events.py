"""Who says what, as headers that readers know who know nothing of ours: CloudEvents, binary mode of its NATS binding.

NATS has checked the subject, and nobody these: an engine decides by subject and facts alone.
"""

from datetime import datetime
from typing import Final

from workspaced.bus import headers
from workspaced.fsm.events import AgentEvent, BuildCreated, JobReport

ENGINE: Final = "workspaced"
TYPE: Final = "workspaced"
"""What every type begins with."""


def agent(agent_id: str) -> str:
    """An agent as a source."""
    return f"{ENGINE}/agent/{agent_id}"


def provisioner(tag: str) -> str:
    """A provisioner as a source."""
    return f"{ENGINE}/provisioner/{tag}"


def attributes(name: str, kind: str, at: datetime, source: str = ENGINE) -> dict[str, str]:
    """The headers of one message: `name` is its id, for the stream too; `kind` follows `workspaced.` in its type."""
    return {
        headers.MESSAGE_ID: name,
        headers.CE_VERSION: "1.0",
        headers.CE_ID: name,
        headers.CE_TYPE: f"{TYPE}.{kind}",
        headers.CE_SOURCE: source,
        headers.CE_TIME: at.isoformat().replace("+00:00", "Z"),
    }


def reported(report: AgentEvent | BuildCreated | JobReport, kind: str, source: str) -> dict[str, str]:
    """The headers of a report, whose type ends like its subject. Raises ValueError without an id and a time."""
    if report.id is None or report.at is None:
        raise ValueError("a report is sent with its id and its time")
    return attributes(report.id, f"event.{kind}", report.at, source)
